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
        vectors: The vectors of keys, including words without a row.
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
        """Returns the keys with the largest scores, and the scores, largest first.

        Args:
            positive: Keys, vectors ``(D,)``, or pairs of either and a weight.
            negative: The same; keys and vectors without a weight of their own get -1.
            topn: The number of keys.
            within: The range of rows to search.
            chosen: Returns the rows to search, int64, given the query, float32 ``(D,)``; None to
                search the whole range.

        Returns:
            Pairs of key and score, without the given keys, and without rows that have no word in a
            table with words.

        Raises:
            KeyError: A key is missing.
            InputError: Other input cannot be used; see ``scores``.
        """
        query, given = self._mean(positive, negative)
        if topn < 1 or not within:
            return []
        if chosen is None:
            own, wordless = np.array(given, dtype=np.int64), self._keys.wordless
            wordless = wordless[: np.searchsorted(wordless, within.stop)]  # in ascending order
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
            negative: The same; keys and vectors without a weight of their own get -1.
            within: The range of n rows to compare.

        Returns:
            The cosines, float32 ``(n,)``.

        Raises:
            KeyError: A key is missing.
            InputError: Nothing was given, or a vector or a weight cannot be used.
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
        """Returns the normalized sum of unit vectors, and the rows of its keys."""
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
                "the weighted sum of the keys and vectors is not finite; wanted smaller weights"
            )
        return unit(total).astype(np.float32), given


def checked(vector: np.ndarray, dim: int) -> np.ndarray:
    """Checks a vector to compare with, and returns it in float64.

    Raises:
        InputError: It does not consist of D finite numbers.
    """
    vector, wanted = np.asarray(vector), (dim,)
    if vector.dtype.kind not in "iuf" or vector.shape != wanted:
        raise InputError(
            f"a vector of type {vector.dtype} and shape {vector.shape} to compare with; "
            f"wanted numbers of shape {wanted}, or a key"
        )
    with np.errstate(over="ignore"):  # from a larger type
        vector = vector.astype(np.float64)
    if not np.isfinite(vector).all():
        raise InputError("a vector to compare with is not finite")
    return vector


def unit(vector: np.ndarray) -> np.ndarray:
    """Returns a vector divided by its length; zeros stay zeros."""
    vector = moderate(vector)
    length = float(np.sqrt(np.einsum("d,d->", vector, vector, dtype=np.float64)))
    return vector / length if length > 0 else vector


def moderate(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors scaled by powers of 2 so that their largest numbers are about 1.

    This changes no digits, and squares neither overflow nor underflow.

    Args:
        vectors: Floats, ``(..., D)``.
    """
    exponents = np.frexp(np.abs(vectors).max(axis=-1, keepdims=True))[1]
    return np.ldexp(vectors, -exponents)


def listed(queries: Query | Sequence[Query] | None) -> Sequence[Query]:
    """Returns a list of queries, even if a single query was given."""
    if queries is None:
        return []
    if isinstance(queries, SINGLE_KEYS):
        return [cast(Key, queries)]
    if isinstance(queries, np.ndarray):
        return [queries] if queries.ndim == 1 else list(queries)
    return cast(list[Query], list(queries))


def _weighted(query: Query, weight: float) -> tuple[Key | np.ndarray, float]:
    """Returns a query and its weight: its own if it is a pair, otherwise the given one."""
    if not isinstance(query, tuple):
        return query, weight
    number = (int, float, np.integer, np.floating)
    if len(query) != 2 or not isinstance(query[1], number) or not np.isfinite(query[1]):
        raise InputError(f"{query!r} to compare with; wanted a pair of a key and a finite weight")
    return query[0], float(query[1])
