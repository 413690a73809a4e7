"""The cluster of each row, and the cluster centres that residuals are added to."""

from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.packing import Packing
from nncompress.embedding.rice import RiceRows

TOGETHER = 8  # rows whose clusters fill whole bytes


@dataclass(frozen=True)
class Centres:
    """Centres along the axes of a residual stage, as integers, and the cluster of each row.

    Attributes:
        steps: The step that an integer counts along each axis, float32 ``(T,)``.
        integers: A row of C integers for each axis.
        bits: Bits per cluster number; C is ``2**bits``.
        clusters: The cluster numbers, packed, eight rows in a line, uint8 ``(ceil(N / 8), bits)``.
    """

    steps: np.ndarray
    integers: RiceRows
    bits: int
    clusters: np.ndarray

    @staticmethod
    def pack(clusters: np.ndarray, bits: int) -> np.ndarray:
        """Packs the clusters of all rows, ``(N,)``."""
        padded = np.zeros(-(-len(clusters) // TOGETHER) * TOGETHER, np.int64)
        padded[: len(clusters)] = clusters
        return Packing(TOGETHER, bits).pack(padded.reshape(-1, TOGETHER))

    def coordinates(self) -> np.ndarray:
        """Returns the centres, float32 ``(C, T)``.

        Raises:
            FormatError: There are not C integers for each axis.
        """
        rows = self.integers.read([1 << self.bits] * len(self.steps))
        return np.ascontiguousarray(np.array(rows, np.float32).T * self.steps)

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns the clusters of rows, int64 ``(n,)``."""
        # Groups fill whole bytes, so all rows are one string of bits. A cluster number spans at
        # most three bytes; bits past its end are masked out.
        flat, last = self.clusters.reshape(-1), self.clusters.size - 1
        if len(rows) == 1:
            place, skipped = divmod(int(rows[0]) * self.bits, 8)
            around = int.from_bytes(flat[place : place + 3].tobytes(), "little")
            return np.array([around >> skipped & ((1 << self.bits) - 1)])
        first, shift = np.divmod(rows * self.bits, 8)
        value = flat[first].astype(np.int64)
        for further in (1, 2):
            value |= flat[np.minimum(first + further, last)].astype(np.int64) << 8 * further
        return value >> shift & ((1 << self.bits) - 1)

    def chosen(self, rows: np.ndarray) -> "Centres":
        """Returns the same centres with the clusters of some rows only."""
        return replace(self, clusters=self.pack(self.of_rows(rows), self.bits))
