"""The embedding matrix: rows of floating-point numbers, read a batch at a time."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.npy import map_npy
from nncompress.formats.small_floats import bfloat16 as bfloat16_numbers
from nncompress.progress import progress_bar
from nncompress.sources.normalization import Normalization, Statistics
from nncompress.sources.row_checks import as_array, check_limit, check_shape, checked, divided

_BLOCK_BYTES = 32 << 20
_SAMPLED = 1_000
_NATIVE = (np.dtype(np.float32), np.dtype(np.float64))


class EmbeddingMatrix:
    """An embedding matrix ``X`` of shape ``(N, D)``, handed out in float32 a batch at a time.

    The array itself may be a memory map of any size, float type and byte order: it is converted
    batch by batch and never copied as a whole.

    Args:
        array: Two-dimensional array of float16, float32 or float64, in any byte order; or of
            uint16, if ``bfloat16`` is set.
        name: The matrix's name in messages: a path, or a description.
        limit: Number of leading rows to use; all by default, or if there are fewer.
        unit_rows: True to divide rows by their lengths (rows of zeros stay as they are), for a
            table in which only the directions of vectors matter.
        bfloat16: True if the array holds the upper halves of float32 numbers.
        statistics: Statistics of the rows that will be handed out, if they have already been
            computed and the rows checked; by default both are done here, in one pass.
        tiny_rows: True to accept rows so small that float32 keeps few or none of their digits:
            rows that are not used as vectors, because another row replaces them.

    Attributes:
        num_rows: N, the number of rows in use.
        dim: D, the number of columns.
        total_rows: The number of rows before ``limit``.

    Raises:
        InputError: The array has another number of dimensions, another type, no entries, a value
            that is not finite in float32, or a nonzero row without a number that float32
            represents with all its digits (at least about 1.2e-38); or ``limit`` is not positive.
    """

    def __init__(
        self,
        array: np.ndarray,
        name: str = "the matrix",
        limit: int | None = None,
        unit_rows: bool = False,
        bfloat16: bool = False,
        statistics: Statistics | None = None,
        tiny_rows: bool = False,
    ) -> None:
        array = as_array(array, name)
        if bfloat16 and array.dtype != np.uint16:
            raise InputError(f"{name} holds {array.dtype}; wanted bfloat16 as uint16")
        check_shape(name, array.shape, np.dtype(np.float32) if bfloat16 else array.dtype)
        check_limit(limit)
        self.name = name
        self.unit_rows = unit_rows
        self.bfloat16 = bfloat16
        self.total_rows = array.shape[0]
        self._array = array if limit is None else array[:limit]
        self.num_rows, self.dim = self._array.shape
        self._tiny_rows = tiny_rows
        self._statistics = self._examine() if statistics is None else statistics
        self._digest: bytes | None = None

    @classmethod
    def open(
        cls, path: str | os.PathLike, limit: int | None = None, unit_rows: bool = False
    ) -> "EmbeddingMatrix":
        """Opens a ``.npy`` file without loading it.

        Args:
            path: File written by ``numpy.save``, mapped read-only and never unpickled.
            limit: Number of leading rows to use; all by default, or if there are fewer.
            unit_rows: True to divide rows by their lengths.

        Raises:
            InputError: The file is missing or not a ``.npy`` file, or the class refuses its array
                or the limit.
        """
        array = map_npy(Path(path))
        return cls(array, name=str(path), limit=limit, unit_rows=unit_rows)

    @classmethod
    def of(cls, matrix: "EmbeddingMatrix | np.ndarray | str | os.PathLike") -> "EmbeddingMatrix":
        """Returns ``matrix`` itself, or wraps an array, or opens a path."""
        if isinstance(matrix, EmbeddingMatrix):
            return matrix
        if isinstance(matrix, (str, os.PathLike)):
            return cls.open(matrix)
        return cls(matrix)

    def __len__(self) -> int:
        return self.num_rows

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, D)``."""
        return self.num_rows, self.dim

    @property
    def row_bytes(self) -> int:
        """The size of a row in the type that it is stored in."""
        return self.dim * self._array.dtype.itemsize

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Gathers rows by index: float32 ``(len(rows), D)``, C-contiguous."""
        return self._handed_out(self._array[rows])

    @property
    def normalization(self) -> Normalization:
        """The map that centres the columns and divides all of them by one number."""
        return self._statistics.normalization

    def mean_row_loss(self, weights: np.ndarray | None = None) -> float:
        """Returns half the mean squared distance between the rows and their mean.

        That is the loss of a table whose every row is the mean.

        Args:
            weights: The weight of each row in both means, float64 ``(N,)``; None: all are equal.
        """
        statistics = self._statistics
        if weights is not None:
            statistics = Statistics(self.dim)
            for start, rows in self.batches():
                statistics.add(rows, weights[start : start + len(rows)])
        return statistics.mean_row_loss

    def sample_digest(self) -> str:
        """Returns a fingerprint of the shape and a thousand evenly spaced rows, in hexadecimal."""
        state = hashlib.blake2b(repr(self.shape).encode(), digest_size=16)
        state.update(self.take(spaced_rows(_SAMPLED, len(self))).data)
        return state.hexdigest()

    def digest(self) -> bytes:
        """Returns a fingerprint of the shape and the rows, independent of their stored type."""
        if self._digest is None:
            state = hashlib.blake2b(repr(self.shape).encode(), digest_size=16)
            for _, rows in self.batches():
                state.update(rows.data)
            self._digest = state.digest()
        return self._digest

    def source_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns an array that compiled code can gather rows from, and their indices in it.

        Args:
            rows: Indices, of any shape.

        Returns:
            A C-contiguous array of float32 or float64 in native byte order, and the indices of
            ``rows`` in it. The array is the matrix itself, memory map or not, if possible, and
            otherwise a copy of those rows.
        """
        array = self._array
        native = array.dtype in _NATIVE and array.dtype.isnative and array.flags.c_contiguous
        if native and not self.unit_rows:
            return array, rows
        return self.take(rows.ravel()), np.arange(rows.size).reshape(rows.shape)

    def batches(self, batch_size: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Goes through the rows in order.

        Args:
            batch_size: Rows in a batch; by default as many as fill a few tens of MiB.

        Yields:
            ``(start, rows)``: the index of the first row, and float32 ``(n, D)``; the last batch
                may be smaller.
        """
        if batch_size is None:
            batch_size = self._block_rows
        for start in range(0, self.num_rows, batch_size):
            yield start, self._handed_out(self._array[start : start + batch_size])

    def _floats(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows of the array as numbers."""
        return bfloat16_numbers(rows) if self.bfloat16 else rows

    def _handed_out(self, rows: np.ndarray) -> np.ndarray:
        rows = self._floats(rows)
        return divided(rows) if self.unit_rows else np.ascontiguousarray(rows, dtype=np.float32)

    @property
    def _block_rows(self) -> int:
        return max(1, _BLOCK_BYTES // (4 * self.dim))

    def _examine(self) -> Statistics:
        """Checks all rows and measures the columns, in one pass."""
        statistics = Statistics(self.dim)
        with progress_bar(self.num_rows, "Checking rows") as bar:
            for start in range(0, self.num_rows, self._block_rows):
                # The stored rows are checked: one of infinite length has no direction.
                stored = self._floats(self._array[start : start + self._block_rows])
                numbers = range(start, start + len(stored))
                rows = checked(stored, numbers, lambda _: self.name, tiny_rows=self._tiny_rows)
                statistics.add(divided(stored) if self.unit_rows else rows)
                bar.update(len(rows))
        return statistics


def spaced_rows(
    count: int, num_rows: int, weights: np.ndarray | None = None, shift: float = 0.0
) -> np.ndarray:
    """Returns the numbers of evenly spaced rows, among those that have a weight.

    Args:
        count: Number of rows wanted; all are returned if there are no more.
        num_rows: N, the number of rows there are.
        weights: The weight of each row, ``(N,)``; None: all rows have one.
        shift: How far to shift the sample from one that begins with the first row, as a fraction
            of the space between two rows; below 1.
    """
    if weights is not None and not weights.all():
        weighted = np.flatnonzero(weights)
        return weighted[spaced_rows(count, len(weighted), shift=shift)]
    count = min(count, num_rows)
    return (np.arange(count) * num_rows + int(shift * num_rows)) // count
