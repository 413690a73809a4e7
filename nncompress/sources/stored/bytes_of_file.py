"""Rows that lie one after the other in a file, as in ``.npy`` and safetensors.

They are read, not mapped: the pages of a mapped file count as memory of the process until the
system reclaims them, and a mapped file that is truncated kills the process.
"""

from collections.abc import Callable

import numpy as np

from nncompress.sources.places import Place
from nncompress.sources.stored.interface import spans

_MOST_SPAN_BYTES = 8 << 20
# The unneeded bytes to read rather than make another system call, or another request.
_GAP_BYTES, _REMOTE_GAP_BYTES = 16 << 10, 256 << 10


class BytesOfFile:
    """Consecutive rows in a file.

    Args:
        place: The file.
        name: The table's name in messages.
        first: Where the first row begins.
        shape: ``(N, D)``.
        dtype: The type of the elements.
        decode: Turns the elements into numbers; None: they are numbers.
        remote: Whether each reading is a request to a server.
        part: The name of the tensor in the file; None: the file holds only one array.
        origin: The file that this one was converted from, if any.
    """

    def __init__(
        self,
        place: Place,
        name: str,
        first: int,
        shape: tuple[int, int],
        dtype: np.dtype,
        decode: Callable[[np.ndarray], np.ndarray] | None = None,
        *,
        remote: bool = False,
        part: str | None = None,
        origin: Place | None = None,
    ) -> None:
        self.name = name
        self.num_rows, self.dim = shape
        self._place, self._first, self._dtype, self._decode = place, first, dtype, decode
        self._origin = origin or place
        self._part = {} if part is None else {"part": part}
        self._row_bytes = self.dim * dtype.itemsize
        self._gap = (_REMOTE_GAP_BYTES if remote else _GAP_BYTES) // self._row_bytes

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1`` as they are stored."""
        rows = self._elements(first, last)
        return rows if self._decode is None else self._decode(rows)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their ascending numbers."""
        taken = np.empty((len(rows), self.dim), self._dtype)
        for begin, end in spans(rows, self._gap, max(1, _MOST_SPAN_BYTES // self._row_bytes)):
            first, last = int(rows[begin]), int(rows[end - 1]) + 1
            taken[begin:end] = self._elements(first, last)[rows[begin:end] - first]
        return taken if self._decode is None else self._decode(taken)

    def files(self) -> list[dict[str, object]]:
        """Returns what identifies each file."""
        return [{**self._origin.identity(), **self._part}]

    def _elements(self, first: int, last: int) -> np.ndarray:
        elements = np.empty((last - first, self.dim), self._dtype)
        if elements.size:
            start = self._first + first * self._row_bytes
            self._place.read_into(elements.view(np.uint8).reshape(-1).data, start)
        return elements
