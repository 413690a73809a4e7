"""Tables of fewer or more rows with the same codebook."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.joining import as_one
from nncompress.embedding.keys import Key, Keys, vocabulary_of
from nncompress.embedding.model import Model
from nncompress.embedding.residual import Stream
from nncompress.embedding.residual_table import ResidualTable, SingleTable
from nncompress.embedding.sharded_table import ShardedTable, Table, shards_of
from nncompress.embedding.sharded_vocabulary import ShardedVocabulary
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.vocabulary import check_words

Words = Sequence[str | None]


def select_rows(
    table: Table, keys: Keys, wanted: Iterable[Key]
) -> tuple[SingleTable, Words | None]:
    """Returns a table of some rows, each once, in the order given, and their words.

    Args:
        table: The compressed rows.
        keys: The keys of its rows.
        wanted: Words, or row numbers; missing ones are left out.

    Raises:
        InputError: None of them is in the table.
        ImportError: Blocks of several rows have to be coded again, and Numba is not installed.
    """
    present = [key for key in dict.fromkeys(wanted) if keys.row(key) is not None]
    if not present:
        raise InputError("none of the keys is in the table; wanted at least one that is")
    selected = _chosen(as_one(table), np.array(keys.rows(present), dtype=np.int64))
    if keys.vocabulary is None:
        return selected, None
    return selected, [key if isinstance(key, str) else None for key in present]


def _chosen(table: SingleTable, rows: np.ndarray) -> SingleTable:
    if isinstance(table, CodeTable):
        return CodeTable(table.packed[rows], table.stored_codebook, table.num_codebooks)
    residual, stream = table.residual, table.residual.stream
    if stream.block_rows == 1:  # their bytes are the same in any table
        places, ends = stream.places(rows)
        parts = [stream.data[i:j] for i, j in zip(places.tolist(), ends.tolist(), strict=True)]
        chosen = Stream.of(np.concatenate(parts), ends - places, 1, len(rows))
        centres = None if residual.centres is None else residual.centres.chosen(rows)
        residual = replace(residual, stream=chosen, centres=centres)
    else:
        from nncompress.trellis.rows import chosen_rows

        residual = chosen_rows(residual, rows)
    additive = None if table.additive is None else _chosen(table.additive, rows)
    return ResidualTable(residual, cast(CodeTable | None, additive))


def add_rows(
    table: Table, keys: Keys, words: Words | None, vectors: np.ndarray, model: Model
) -> tuple[ShardedTable, ShardedVocabulary | None]:
    """Returns a table with more rows, in a shard of their own, and the words of all rows.

    Args:
        table: The compressed rows, which are not changed.
        keys: The keys of its rows.
        words: The words of the new rows; None if the table has no words.
        vectors: The new rows, ``(n, D)``.
        model: The model to encode them with.

    Raises:
        InputError: The vectors or the words do not match the table, or a word is already in it.
        ImportError: Numba or threadpoolctl is not installed.
    """
    matrix = EmbeddingMatrix(vectors, "the array of new rows", unit_rows=model.unit_rows)
    if matrix.dim != table.dim:
        raise InputError(f"new rows of {matrix.dim} columns; wanted {table.dim}, as in the table")
    _check_new_words(keys, words, len(matrix))
    shards = shards_of(table)
    sharded = ShardedTable([*shards, _encoded(model, matrix, table.num_rows)])
    if words is None:
        return sharded, None
    old = keys.vocabulary
    parts = old.parts if isinstance(old, ShardedVocabulary) else [old]
    new = vocabulary_of(list(words), len(matrix))
    firsts = sharded.first_rows.tolist()
    return sharded, ShardedVocabulary([*parts, new], firsts, sharded.num_rows)


def _encoded(model: Model, matrix: EmbeddingMatrix, first_row: int) -> SingleTable:
    """Returns a table of the new rows only, encoded as a job would."""
    from nncompress.jobs.block_encoder import BlockEncoder, stage_of
    from nncompress.refinement.encoding import EFFORTS

    rows = matrix.take(np.arange(len(matrix)))
    encoder = BlockEncoder(model, EFFORTS["thorough"], Machine())
    if model.codebook is not None and "loss" not in model.encoding:
        # The codes may be of any origin: their loss can only be learnt from the new rows.
        block = encoder.encoded(rows, _codes(model, matrix))
    else:
        block = encoder.encode(rows, first_row)
    packed = block.arrays.get("codes")
    return model.table(packed, stage_of(model, [block.arrays], len(rows)))


def _codes(model: Model, matrix: EmbeddingMatrix) -> np.ndarray:
    """Returns the codes of new rows, ``(n, M)``."""
    from nncompress.refinement.refine import improve_codes

    start = np.zeros((len(matrix), model.num_codebooks), dtype=model.code_dtype)
    return improve_codes(matrix, start, model.plain_codebook)


def _check_new_words(keys: Keys, words: Words | None, num_new: int) -> None:
    """Refuses words that do not match the new rows, or are already in the table."""
    words = None if words is None else list(words)
    vocabulary = keys.vocabulary
    if vocabulary is None and words is None:
        return
    if vocabulary is None or words is None or len(words) != num_new:
        wanted = "None: the table has no words" if vocabulary is None else f"{num_new} words"
        raise InputError(f"words for {num_new} new rows are {words!r:.60}; wanted {wanted}")
    check_words(words)
    present = [word for word in words if word is not None and vocabulary.find(word) >= 0]
    if present:
        raise InputError(f"{present[0]!r} is already in the table; leave it out")
