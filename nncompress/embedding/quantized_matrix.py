"""A matrix with a few bits per entry and a scale for each row."""

from dataclasses import dataclass

import numpy as np

from nncompress.embedding.packing import Packing

BITS = range(2, 9)
_HALF = np.finfo(np.float16)


@dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix of packed integers and scales.

    Entry ``(r, d)`` is ``(u - h) * scales[r]`` with the packed integer u and ``h = 2**(bits-1)``.

    Attributes:
        packed: uint8 ``(R, row_bytes)``; see ``Packing``.
        scales: float16 or float32 ``(R,)``.
        bits: Bits of an entry, 2 to 8.
        dim: D, the number of columns.
    """

    packed: np.ndarray
    scales: np.ndarray
    bits: int
    dim: int

    @property
    def shape(self) -> tuple[int, int]:
        """``(R, D)``."""
        return len(self.packed), self.dim

    @property
    def nbytes(self) -> int:
        """Bytes of integers and scales."""
        return self.packed.nbytes + self.scales.nbytes

    @classmethod
    def of(cls, matrix: np.ndarray, bits: int) -> "QuantizedMatrix":
        """Quantizes a matrix ``(R, D)`` with each row's scale set by its largest entry.

        Scales are float16, rounded up, if float16 holds all of them at full precision, and
        float32 otherwise; integers are computed with the rounded scales.
        """
        half = 1 << (bits - 1)
        exact = np.abs(matrix).max(axis=1).astype(np.float64) / (half - 1)
        scales = exact.astype(np.float32)
        if ((exact == 0) | (exact >= _HALF.tiny) & (exact <= _HALF.max)).all():
            near = exact.astype(np.float16)
            scales = np.where(near < exact, np.nextafter(near, np.float16(np.inf)), near)
        units = matrix / np.where(scales > 0, scales, 1)[:, None].astype(np.float64)
        integers = np.rint(units).clip(1 - half, half - 1).astype(np.int64) + half
        return cls(Packing(matrix.shape[1], bits).pack(integers), scales, bits, matrix.shape[1])

    def to_numpy(self) -> np.ndarray:
        """Returns the matrix, float32 ``(R, D)``."""
        integers = Packing(self.dim, self.bits).unpack(self.packed).astype(np.float32)
        integers -= 1 << (self.bits - 1)
        integers *= self.scales[:, None].astype(np.float32)
        return integers
