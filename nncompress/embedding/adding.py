"""Adding rows to a compressed table, encoded with its own codebook."""

from collections.abc import Sequence

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.keys import Keys
from nncompress.errors import InputError
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.vocabulary import check_words

Words = Sequence[str | None]


def add_rows(
    table: CodeTable, keys: Keys, words: Words | None, vectors: np.ndarray, unit_rows: bool
) -> tuple[CodeTable, Words | None]:
    """Returns a table with more rows, and the words of all rows.

    Args:
        table: Codes and codebook.
        keys: The keys of its rows.
        words: The new rows' words; None where the table has none.
        vectors: The new rows, ``(n, D)``.
        unit_rows: Whether they are divided by their lengths.

    Raises:
        InputError: The vectors or the words do not fit, or a word is in the table already.
        ImportError: Numba or threadpoolctl is not installed.
    """
    from nncompress.refinement.refine import improve_codes

    matrix = EmbeddingMatrix(vectors, "the array of new rows", unit_rows=unit_rows)
    if matrix.dim != table.dim:
        raise InputError(f"new rows of {matrix.dim} columns; the table has {table.dim}")
    all_words = _all_words(keys, words, len(matrix))
    start = np.zeros((len(matrix), table.num_codebooks), dtype=table.codes(slice(0)).dtype)
    codes = improve_codes(matrix, start, table.codebook.astype(np.float32))
    packed = np.concatenate([table.packed, table.packing.pack(codes)])
    return CodeTable(packed, table.codebook, table.num_codebooks), all_words


def _all_words(keys: Keys, words: Words | None, num_new: int) -> Words | None:
    """Returns the words of old and new rows, after a check of the new ones."""
    words = None if words is None else list(words)
    vocabulary = keys.vocabulary
    if vocabulary is None and words is None:
        return None
    if vocabulary is None or words is None or len(words) != num_new:
        wanted = "None: the table has no words" if vocabulary is None else f"{num_new} words"
        raise InputError(f"words for {num_new} new rows are {words!r:.60}; wanted {wanted}")
    check_words(words)
    present = [word for word in words if word is not None and vocabulary.find(word) >= 0]
    if present:
        raise InputError(f"{present[0]!r} is in the table already; leave it out")
    return [*vocabulary.words(), *words]
