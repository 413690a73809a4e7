"""Finding the nearest words by products of cosines instead of sums."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from nncompress.embedding.comparing import similar_by_key
from nncompress.embedding.keyed_rows import KeyedRows
from nncompress.embedding.keys import SINGLE_KEYS, Key, Keys
from nncompress.embedding.ranking import best
from nncompress.embedding.similarity import checked, listed
from nncompress.errors import InputError

_LEAST_DIVISOR = 1e-6
_Term = Key | np.ndarray


class RankedRows(KeyedRows, Protocol):
    """The parts of a compressed embedding that ranking needs."""

    _keys: Keys


def most_similar_cosmul(
    embedding: RankedRows,
    positive: _Term | Sequence[_Term] | None = None,
    negative: _Term | Sequence[_Term] | None = None,
    topn: int | None = 10,
    restrict_vocab: int | None = None,
) -> list[tuple[Key, float]] | np.ndarray:
    """Finds words by the product of their cosines with some keys over that with other keys.

    Cosines are shifted to 0 ... 1, and 1e-6 is added to the divisor (Levy and Goldberg,
    "Linguistic Regularities in Sparse and Explicit Word Representations", 2014, equation 4).

    Args:
        embedding: The table.
        positive: Keys, or vectors, which are used without normalizing their length.
        negative: The same, for the divisor.
        topn: The number of words; None to return the quotients of all rows, float32 ``(n,)``.
        restrict_vocab: The number of leading rows to search; None or 0 for all. (gensim ignores
            it.)

    Returns:
        Words and quotients, the largest first, without the given keys.

    Raises:
        KeyError: A key is missing.
        InputError: No positive key or vector was given, or a vector is not of D finite numbers.
    """
    above, below = listed(positive), listed(negative)
    if not above:
        raise InputError("no positive key or vector was given; wanted at least one")
    divisor = _product(embedding, below, restrict_vocab) + _LEAST_DIVISOR
    scores = _product(embedding, above, restrict_vocab) / divisor
    if topn is None:
        return scores
    if topn < 1:
        return []
    keys = embedding._keys
    given = [keys.row(one) for one in (*above, *below) if isinstance(one, SINGLE_KEYS)]
    rows = np.array([row for row in given if row is not None], dtype=np.int64)
    return keys.with_scores(*best(scores, topn, np.concatenate([rows, keys.wordless])))


def _product(embedding: RankedRows, terms: Sequence, restrict_vocab: int | None) -> np.ndarray:
    """Returns the product of rows' cosines with terms, shifted to 0 ... 1, float32 ``(n,)``."""
    product: np.ndarray = np.ones((), np.float32)
    for term in terms:
        if isinstance(term, tuple):
            raise InputError(f"{term!r} to multiply by; wanted a key or a vector without a weight")
        length = 1.0
        if not isinstance(term, SINGLE_KEYS):
            length = float(np.linalg.norm(checked(term, embedding.table.dim)))
        cosines = np.asarray(similar_by_key(embedding, term, None, restrict_vocab))
        product = product * ((1 + length * cosines) / 2)
    return product
