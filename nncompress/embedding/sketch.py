"""A sketch of a table's rows, by which the nearest ones are found without decoding all of them.

Each row, divided by its length, is kept in a byte a column with a scale, and with the length of
what that leaves out. A query's product with the sketch is then no farther from the row's cosine
than that length, so that all rows but a few are known not to be among the nearest.
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
        errors: How far a product with a vector of length 1 may be off, float32 ``(N,)``.
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
        # What rounding may add: in the sums of a product, and in the row that is drawn.
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
        """Returns the bytes of a sketch."""
        return num_rows * (dim + 8)

    def candidates(
        self, query: np.ndarray, count: int, num_rows: int, left_out: np.ndarray
    ) -> np.ndarray:
        """Returns rows among which are all that may be of the largest cosines.

        Args:
            query: float32 ``(D,)``, of length 1.
            count: How many rows are wanted, at least 1.
            num_rows: How many leading rows to look at.
            left_out: Rows that are not wanted, int64.

        Returns:
            int64, in rising order.
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
    """Returns one over the length of each row, float64; 0 for zeros and what is not finite."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    good = (lengths > 0) & np.isfinite(lengths)
    return np.where(good, 1 / np.where(good, lengths, 1), 0.0)
