"""A sketch of a table's rows, to find the nearest ones without decoding all of them.

Each row, divided by its length, is kept as one byte per column with a scale, together with the
length of the rounding error. A query's product with the sketch differs from the row's cosine by at
most that length, which rules out all but a few rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.engine import engine
from nncompress.embedding.ranking import largest

_LARGEST = 127
_EPSILON = 2.0**-24


@dataclass(frozen=True)
class Sketch:
    """A sketch of rows.

    Attributes:
        rows: int8 ``(N, D)``.
        scales: float32 ``(N,)``.
        errors: Bounds on the error of a product with a vector of length 1, float32 ``(N,)``.
    """

    rows: np.ndarray
    scales: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[tuple[int, np.ndarray]], num_rows: int, dim: int) -> "Sketch":
        """Makes a sketch of blocks of rows, each with the number of its first row."""
        sketch = cls(
            np.zeros((num_rows, dim), np.int8),
            np.zeros(num_rows, np.float32),
            np.zeros(num_rows, np.float32),
        )
        # Bounds on rounding errors, in the sums of a product and in the sketched row.
        rounding = np.float32(4 * (dim + 16) * _EPSILON)
        for first, rows in blocks:
            here = slice(first, first + len(rows))
            inverse = inverse_lengths(rows)[:, None]
            units = np.where(inverse > 0, rows * inverse, 0.0).astype(np.float32)
            scales = np.abs(units).max(axis=1) / np.float32(_LARGEST)
            drawn = np.rint(units / np.where(scales > 0, scales, 1)[:, None])
            units -= drawn * scales[:, None]
            sketch.rows[here], sketch.scales[here] = drawn, scales
            sketch.errors[here] = np.sqrt(np.einsum("nd,nd->n", units, units)) + rounding
        return sketch

    @staticmethod
    def size(num_rows: int, dim: int) -> int:
        """Returns the size of a sketch in bytes."""
        return num_rows * (dim + 8)

    def candidates(
        self, query: np.ndarray, count: int, num_rows: int, left_out: np.ndarray
    ) -> np.ndarray:
        """Returns rows that include all those with the largest cosines.

        Args:
            query: float32 ``(D,)``, of length 1.
            count: The number of nearest rows, at least 1.
            num_rows: The number of leading rows to search.
            left_out: Rows to leave out, int64.

        Returns:
            Row numbers, int64, in ascending order.
        """
        scores = np.empty(num_rows, np.float32)
        parts = self.rows[:num_rows], self.scales[:num_rows], scores
        engine.call("compare", parts, query)
        scores[left_out[left_out < num_rows]] = -np.inf
        errors = self.errors[:num_rows]
        least = scores - errors
        bound = least[largest(least, count)[-1]]
        scores += errors
        return np.flatnonzero((scores >= bound) & (scores > -np.inf))


def inverse_lengths(rows: np.ndarray) -> np.ndarray:
    """Returns the inverse of each row's length, float64; 0 for zero or non-finite rows."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    good = (lengths > 0) & np.isfinite(lengths)
    return np.where(good, 1 / np.where(good, lengths, 1), 0.0)
