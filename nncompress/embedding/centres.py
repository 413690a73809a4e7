"""The centres of clusters of rows, from which a residual stage goes on, and each row's cluster."""

from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.packing import Packing
from nncompress.embedding.rice import RiceRows

TOGETHER = 8  # rows whose clusters fill whole bytes


@dataclass(frozen=True)
class Centres:
    """Centres along the axes of a residual stage, in integers, and the cluster of each row.

    Attributes:
        steps: What an integer stands for along each axis, float32 ``(T,)``.
        integers: A row of C integers for each axis.
        bits: Bits that tell a cluster; C is ``2**bits``.
        clusters: The clusters of eight rows a row, packed, uint8 ``(ceil(N / 8), bits)``.
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
            FormatError: The integers are not C for each axis.
        """
        rows = self.integers.read([1 << self.bits] * len(self.steps))
        return np.ascontiguousarray(np.array(rows, np.float32).T * self.steps)

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Returns the clusters of rows, int64 ``(n,)``."""
        # Groups fill whole bytes, so that all rows are one string of bits; no cluster has bits in
        # more than three bytes, and those past the end are masked out.
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
        """Returns the same centres, with the clusters of some rows."""
        return replace(self, clusters=self.pack(self.of_rows(rows), self.bits))
