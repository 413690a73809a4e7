"""Comparing rows of a compressed table, and finding the nearest ones."""

import warnings
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from nncompress.embedding.keys import Key, Keys
from nncompress.embedding.ranking import best_of
from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError

Query = Key | np.ndarray | tuple[Key | np.ndarray, float]


class Similarity:
    """Cosines between keys, vectors and rows.

    Args:
        table: The rows.
        keys: The keys of its rows.
    """

    def __init__(self, table: Table, keys: Keys) -> None:
        self._table = table
        self._keys = keys

    def cosine(self, one: Key, other: Key) -> float:
        """Returns the cosine between the vectors of two keys.

        Raises:
            KeyError: A key is missing.
        """
        first, second = map(unit, self._table.decode(self._rows([one, other])))
        return float(first @ second)

    def odd_one_out(self, keys: Sequence[Key]) -> Key:
        """Returns the key that is farthest by cosine from the mean of all.

        Keys that are missing are left out, which a warning says.

        Raises:
            InputError: All of them are missing.
        """
        known = [key for key in keys if self._keys.row(key) is not None]
        if not known:
            raise InputError(f"none of {keys!r} is in the table; wanted at least one that is")
        if len(known) < len(keys):
            missing = [key for key in keys if self._keys.row(key) is None]
            warnings.warn(f"{missing!r} are not in the table and left out", stacklevel=3)
        units = np.array([unit(row) for row in self._table.decode(self._rows(known))])
        return known[int(np.argmin(units @ unit(units.mean(axis=0))))]

    def nearest(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
        topn: int,
        restrict_vocab: int | None,
        chosen: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> list[tuple[Key, float]]:
        """Returns the keys of the largest scores, with the scores, the largest first.

        Args:
            positive: Keys, vectors ``(D,)``, or pairs of either and a weight.
            negative: The same, with weights of -1 where they have none of their own.
            topn: The number of keys.
            restrict_vocab: The number of leading rows to look at; None or 0: all.
            chosen: Returns the rows to look at, int64, given the query, float32 ``(D,)``; None:
                all.

        Returns:
            Neither the keys that were given nor, if other rows have words, rows without.

        Raises:
            KeyError: A key is missing.
            InputError: Something else is at fault; see ``scores``.
        """
        query, num_rows, given = self._asked(positive, negative, restrict_vocab)
        if topn < 1:
            return []
        if chosen is None:
            left_out = np.concatenate([np.array(given, dtype=np.int64), self._keys.wordless])
            rows, scores = self._table.nearest(query, topn, num_rows, left_out)
        else:
            rows = chosen(query)
            rows = self._keys.named(rows[(rows < num_rows) & ~np.isin(rows, given)])
            rows, scores = best_of(self._table, query, rows, topn)
        keys = self._keys.index_to_key
        return [
            (keys[row], score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def scores(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
        restrict_vocab: int | None,
    ) -> np.ndarray:
        """Compares rows with a mean of keys and vectors.

        Args:
            positive: Keys, vectors ``(D,)``, or pairs of either and a weight.
            negative: The same, with weights of -1 where they have none of their own.
            restrict_vocab: n, how many leading rows; None or 0: all.

        Returns:
            The cosines, float32 ``(n,)``.

        Raises:
            KeyError: A key is missing.
            InputError: Nothing was given, a vector or weight is no such thing, or
                ``restrict_vocab`` is negative.
        """
        query, num_rows, _ = self._asked(positive, negative, restrict_vocab)
        return self._table.cosines(query, num_rows)

    def _asked(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
        restrict_vocab: int | None,
    ) -> tuple[np.ndarray, int, list[int]]:
        """Returns a query, how many rows to compare it with, and the rows of its keys."""
        query, given = self._mean(positive, negative)
        if restrict_vocab is not None and restrict_vocab < 0:
            raise InputError(f"restrict_vocab is {restrict_vocab}; wanted a number of rows")
        return query, min(restrict_vocab or self._table.num_rows, self._table.num_rows), given

    def _rows(self, keys: Sequence[Key]) -> np.ndarray:
        return np.array(self._keys.rows(keys), dtype=np.int64)

    def _mean(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
    ) -> tuple[np.ndarray, list[int]]:
        """Returns a sum of unit vectors, divided by its length, and the rows of its keys."""
        total = np.zeros(self._table.dim)
        given: list[int] = []
        parts = [_weighted(part, 1.0) for part in _listed(positive)]
        parts += [_weighted(part, -1.0) for part in _listed(negative)]
        if not parts:
            raise InputError("nothing was given to compare with; wanted a key or a vector")
        for part, weight in parts:
            if isinstance(part, (str, int, np.integer)):
                given += self._keys.rows([part])
                vector = unit(self._table.vector(given[-1]))
            else:
                vector = self._checked(part)
            with np.errstate(over="ignore", invalid="ignore"):
                total += weight * vector
        if not np.isfinite(total).all():
            raise InputError(
                "the weighted sum of what is to compare with is not finite; wanted smaller weights"
            )
        return unit(total).astype(np.float32), given

    def _checked(self, vector: np.ndarray) -> np.ndarray:
        """Returns a vector in float64, after a check of what it is."""
        vector, wanted = np.asarray(vector), (self._table.dim,)
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


def _listed(queries: Query | Sequence[Query] | None) -> Sequence[Query]:
    """Returns a list of queries, where one alone may have been given."""
    if queries is None:
        return []
    if isinstance(queries, (str, int, np.integer)):
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
