"""Comparing rows of a compressed table, and finding the nearest ones."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from nncompress.embedding.key_vectors import KeyVectors
from nncompress.embedding.keys import SINGLE_KEYS, Key, Keys
from nncompress.embedding.ranking import best_of
from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError

Query = Key | np.ndarray | tuple[Key | np.ndarray, float]


class Similarity:
    """Cosines between keys, vectors and rows.

    Args:
        table: The rows.
        keys: The keys of its rows.
        vectors: The vectors of keys, which may be of no row.
    """

    def __init__(self, table: Table, keys: Keys, vectors: KeyVectors) -> None:
        self._table = table
        self._keys = keys
        self._vectors = vectors

    def cosine(self, one: Key, other: Key) -> float:
        """Returns the cosine between the vectors of two keys.

        Raises:
            KeyError: A key is missing.
        """
        first, second = map(unit, self._vectors.vectors([one, other]))
        return float(first @ second)

    def nearest(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
        topn: int,
        within: range,
        chosen: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> list[tuple[Key, float]]:
        """Returns the keys of the largest scores, with the scores, the largest first.

        Args:
            positive: Keys, vectors ``(D,)``, or pairs of either and a weight.
            negative: The same, with weights of -1 where they have none of their own.
            topn: The number of keys.
            within: The rows to look at.
            chosen: Returns the rows to look at, int64, given the query, float32 ``(D,)``; None:
                all of those.

        Returns:
            Neither the keys that were given nor, if other rows have words, rows without.

        Raises:
            KeyError: A key is missing.
            InputError: Something else is at fault; see ``scores``.
        """
        query, given = self._mean(positive, negative)
        if topn < 1 or not within:
            return []
        if chosen is None:
            own, wordless = np.array(given, dtype=np.int64), self._keys.wordless
            wordless = wordless[: np.searchsorted(wordless, within.stop)]  # they rise
            left_out = np.concatenate([own, wordless, np.arange(within.start)])
            rows, scores = self._table.nearest(query, topn, within.stop, left_out)
        else:
            rows = chosen(query)
            rows = rows[(rows >= within.start) & (rows < within.stop) & ~np.isin(rows, given)]
            rows, scores = best_of(self._table, query, self._keys.named(rows), topn)
        return self._keys.with_scores(rows, scores)

    def scores(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
        within: range,
    ) -> np.ndarray:
        """Compares rows with a mean of keys and vectors.

        Args:
            positive: Keys, vectors ``(D,)``, or pairs of either and a weight.
            negative: The same, with weights of -1 where they have none of their own.
            within: n rows.

        Returns:
            The cosines, float32 ``(n,)``.

        Raises:
            KeyError: A key is missing.
            InputError: Nothing was given, or a vector or weight is no such thing.
        """
        query, _ = self._mean(positive, negative)
        if not within:
            return np.empty(0, np.float32)
        return self._table.cosines(query, within.stop)[within.start :]

    def _mean(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
    ) -> tuple[np.ndarray, list[int]]:
        """Returns a sum of unit vectors, divided by its length, and the rows of its keys."""
        total = np.zeros(self._table.dim)
        given: list[int] = []
        parts = [_weighted(part, 1.0) for part in listed(positive)]
        parts += [_weighted(part, -1.0) for part in listed(negative)]
        if not parts:
            raise InputError("nothing was given to compare with; wanted a key or a vector")
        for part, weight in parts:
            if isinstance(part, SINGLE_KEYS):
                vector = unit(self._vectors.vector(part))
                row = self._keys.row(part)
                given += [] if row is None else [row]
            else:
                vector = checked(part, self._table.dim)
            with np.errstate(over="ignore", invalid="ignore"):
                total += weight * vector
        if not np.isfinite(total).all():
            raise InputError(
                "the weighted sum of what is to compare with is not finite; wanted smaller weights"
            )
        return unit(total).astype(np.float32), given


def checked(vector: np.ndarray, dim: int) -> np.ndarray:
    """Returns a vector to compare with in float64, after a check of what it is.

    Raises:
        InputError: It is not of D finite numbers.
    """
    vector, wanted = np.asarray(vector), (dim,)
    if vector.dtype.kind not in "iuf" or vector.shape != wanted:
        raise InputError(
            f"a vector of type {vector.dtype} and shape {vector.shape} to compare with; "
            f"wanted numbers of shape {wanted}, or a key"
        )
    with np.errstate(over="ignore"):  # of a type that is larger
        vector = vector.astype(np.float64)
    if not np.isfinite(vector).all():
        raise InputError("a vector to compare with is not finite")
    return vector


def unit(vector: np.ndarray) -> np.ndarray:
    """Returns a vector divided by its length; zeros as they are."""
    vector = moderate(vector)
    length = float(np.sqrt(np.einsum("d,d->", vector, vector, dtype=np.float64)))
    return vector / length if length > 0 else vector


def moderate(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors times the powers of 2 that make their largest numbers about 1.

    That changes no digit, and squares neither overflow nor vanish.

    Args:
        vectors: Floats, ``(..., D)``.
    """
    exponents = np.frexp(np.abs(vectors).max(axis=-1, keepdims=True))[1]
    return np.ldexp(vectors, -exponents)


def listed(queries: Query | Sequence[Query] | None) -> Sequence[Query]:
    """Returns a list of queries, where one alone may have been given."""
    if queries is None:
        return []
    if isinstance(queries, SINGLE_KEYS):
        return [cast(Key, queries)]
    if isinstance(queries, np.ndarray):
        return [queries] if queries.ndim == 1 else list(queries)
    return cast(list[Query], list(queries))


def _weighted(query: Query, weight: float) -> tuple[Key | np.ndarray, float]:
    """Returns a query and its own weight, if it is a pair, or the weight given."""
    if not isinstance(query, tuple):
        return query, weight
    number = (int, float, np.integer, np.floating)
    if len(query) != 2 or not isinstance(query[1], number) or not np.isfinite(query[1]):
        raise InputError(f"{query!r} to compare with; wanted a pair of a key and a finite weight")
    return query[0], float(query[1])
