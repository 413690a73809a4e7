"""Random access to rows in a file, read from the device instead of memory."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from nncompress.embedding.centres import Centres
from nncompress.embedding.residual import Residual, Stream
from nncompress.errors import InputError
from nncompress.formats.mapped import MappedArray

# Reads ranges of a file: takes its path, and the offsets and lengths of the ranges, int64
# ``(n,)``; returns their bytes one after the other, uint8.
RangeReader = Callable[[Path, np.ndarray, np.ndarray], np.ndarray]


class Access:
    """Reads the rows of one file.

    Without a reader, the pages of the mapped file that are about to be read are requested in
    advance. A reader reads the rows itself, by whatever means the device offers.

    Args:
        path: The file.
        reader: The reader, or None.
    """

    def __init__(self, path: Path, reader: RangeReader | None = None) -> None:
        self._path, self._reader = path, reader

    def begin(self, arrays: Iterable[np.ndarray]) -> None:
        """Tells the system that a file will be read at random.

        Args:
            arrays: Arrays in that file.
        """
        for array in arrays:
            mapped = MappedArray.of(array)
            if mapped is not None:
                mapped.expect_random()
                return

    def ask(self, array: np.ndarray) -> None:
        """Requests a whole array, which is about to be read from start to end."""
        mapped = MappedArray.of(array)
        if mapped is not None:
            mapped.fetch(np.zeros(1, np.int64), np.array([array.nbytes]))

    def packed(self, packed: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns the packed codes of rows, uint8 ``(n, row_bytes)``.

        Args:
            packed: The packed codes of all rows, ``(N, row_bytes)``.
            rows: Row numbers, int64 ``(n,)``.
        """
        size = packed.shape[1]
        data = self._read(packed.reshape(-1), rows * size, np.full(len(rows), size))
        return packed.take(rows, axis=0) if data is None else data.reshape(len(rows), size)

    def stage(self, residual: Residual, rows: np.ndarray) -> tuple[Residual, np.ndarray]:
        """Returns a residual stage of the blocks that hold some rows, and the rows' numbers in it.

        Args:
            residual: The stage of all rows.
            rows: Row numbers, int64 ``(n,)``, at least one.
        """
        stream, group = residual.stream, residual.stream.block_rows
        blocks, which = np.unique(rows // group, return_inverse=True)
        places, ends = stream.places(blocks)
        data = self._read(stream.data, places, ends - places)
        if data is None:
            return residual, rows
        num_rows = len(blocks) * group
        if blocks[-1] == stream.num_blocks - 1:  # the last block may have fewer rows
            num_rows -= stream.num_blocks * group - stream.num_rows
        few = Stream.of(data, ends - places, group, num_rows)
        clusters, centres = None, residual.centres
        if centres is not None:
            own = (blocks[:, None] * group + np.arange(group)).reshape(-1)[:num_rows]
            clusters = Centres.pack(centres.of_rows(own), centres.bits)
        return residual.with_rows(few, clusters), which * group + rows % group

    def _read(
        self, array: np.ndarray, begins: np.ndarray, lengths: np.ndarray
    ) -> np.ndarray | None:
        """Returns ranges of an array; without a reader, requests them and returns None."""
        mapped = MappedArray.of(array)
        if mapped is None or not len(begins):
            return None
        if self._reader is None:
            mapped.fetch(begins, begins + lengths)
            return None
        return np.asarray(self._reader(self._path, mapped.offset + begins, lengths), np.uint8)


def access_of(
    access: str, reader: RangeReader | None, copy: bool
) -> Callable[[Path], Access] | None:
    """Returns the ``Access`` to a file's rows; None where they are read as from memory.

    Raises:
        InputError: The settings contradict each other.
    """
    if access not in ("memory", "random"):
        raise InputError(f"access is {access!r}; wanted 'memory' or 'random'")
    if access == "random" and copy:
        raise InputError(
            "copy=True and access='random' were given; leave one out: a copy is in memory"
        )
    if reader is not None and access != "random":
        raise InputError("a reader was given without access='random'; give both or neither")
    return None if access == "memory" else partial(Access, reader=reader)
