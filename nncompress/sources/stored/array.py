"""Rows of arrays that are in memory, mapped, or read when sliced (Zarr, HDF5 and others)."""

import hashlib
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.sources.matrix import EmbeddingMatrix, spaced_rows
from nncompress.sources.places import Place, reading
from nncompress.sources.row_checks import check_shape
from nncompress.sources.stored.interface import spans

_SAMPLED = 64
_MOST_SPAN_ROWS = 1 << 14


class ArrayRows:
    """Rows of any object with a two-dimensional ``shape``, a float ``dtype`` and slicing.

    Args:
        array: The array. If it has ``oindex``, as Zarr arrays do, rows are taken with that, so
            that each chunk is read once.
        name: Its name in messages.
        place: The file or directory that it is read from; None: some of its rows identify it.
        part: Its name there; None: there are no other arrays.

    Raises:
        InputError: The array holds no vectors.
    """

    def __init__(
        self, array: Any, name: str, place: Place | None = None, part: str | None = None
    ) -> None:
        shape = tuple(int(count) for count in array.shape)
        check_shape(name, shape, np.dtype(array.dtype))
        self.name = name
        self.num_rows, self.dim = shape
        self._array, self._place = array, place
        self._part = {} if part is None else {"part": part}

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1`` as they are stored."""
        with reading(self.name):
            return self._sliced(self._array[first:last], last - first)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their ascending numbers."""
        with reading(self.name):
            if isinstance(self._array, np.ndarray):
                return self._array[rows]
            if hasattr(self._array, "oindex"):
                return self._sliced(self._array.oindex[rows, :], len(rows))
            taken = []
            for begin, end in spans(rows, 0, _MOST_SPAN_ROWS):
                first, last = int(rows[begin]), int(rows[end - 1]) + 1
                taken.append(self.read(first, last)[rows[begin:end] - first])
            return np.concatenate(taken) if taken else np.empty((0, self.dim), np.float32)

    def files(self) -> list[dict[str, object]]:
        """Returns what identifies each file, or the array itself."""
        if self._place is not None:
            return [{**self._place.identity(), **self._part}]
        sample = np.ascontiguousarray(self.take(spaced_rows(_SAMPLED, self.num_rows)))
        digest = hashlib.blake2b(sample.tobytes(), digest_size=16).hexdigest()
        return [{"name": self.name, "dtype": str(sample.dtype), "digest of rows": digest}]

    def _sliced(self, rows: Any, count: int) -> np.ndarray:
        rows = np.asarray(rows)
        if rows.shape != (count, self.dim) or rows.dtype.kind != "f" or rows.dtype.itemsize > 8:
            raise InputError(
                f"{self.name} gave an array of {rows.dtype} {rows.shape}; wanted floating-point "
                f"numbers of shape {(count, self.dim)}"
            )
        rows = rows.view()
        rows.flags.writeable = False  # it may be the user's
        return rows


class MatrixRows:
    """Rows of an ``EmbeddingMatrix``, as it hands them out.

    Args:
        matrix: The matrix.
    """

    def __init__(self, matrix: EmbeddingMatrix) -> None:
        self.name, (self.num_rows, self.dim) = matrix.name, matrix.shape
        self._matrix = matrix

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1`` as they are stored."""
        return self._matrix.take(np.arange(first, last))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their ascending numbers."""
        return self._matrix.take(rows)

    def files(self) -> list[dict[str, object]]:
        """Returns what identifies each file, or the array itself."""
        return [{"name": self.name, "digest of rows": self._matrix.sample_digest()}]
