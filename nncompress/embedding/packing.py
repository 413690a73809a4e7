"""Packing small integers side by side, with as many bits each as the largest can need."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np


def bits_for(count: int) -> int:
    """Returns the bits that tell ``count`` things apart: ``ceil(log2(count))``, at least 1."""
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True)
class Packing:
    """A way of packing rows of integers into rows of bytes.

    Integer m of a row takes bits ``m*bits ... (m+1)*bits - 1`` of it, lowest bit first; bit i is
    bit ``i % 8`` of byte ``i // 8``. Unused bits of the last byte are 0.

    Attributes:
        count: Integers in a row.
        bits: Bits for each, at most 32.
    """

    count: int
    bits: int

    @property
    def row_bytes(self) -> int:
        """Bytes in a row."""
        return (self.count * self.bits + 7) // 8

    @property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the byte in which each integer begins, and the bit within that byte."""
        first = np.arange(self.count) * self.bits
        return first >> 3, first & 7

    def pack(self, values: np.ndarray) -> np.ndarray:
        """Packs integers ``(n, count)``, each below ``2**bits``: uint8 ``(n, row_bytes)``."""
        packed = np.zeros((len(values), self.row_bytes), dtype=np.uint8)
        for column, byte, shift in zip(values.T, *self._places, strict=True):
            shifted = column.astype(np.uint64) << np.uint64(shift)
            for offset in range((int(shift) + self.bits + 7) // 8):
                part = shifted >> np.uint64(8 * offset) & np.uint64(0xFF)
                packed[:, byte + offset] |= part.astype(np.uint8)
        return packed

    def unpack(self, packed: np.ndarray, xp: ModuleType = np) -> np.ndarray:
        """Unpacks bytes ``(n, row_bytes)`` to integers ``(n, count)`` of an unsigned type.

        The type is uint8, uint16 or uint32, depending on the number of bits.

        Args:
            packed: An array of ``xp``.
            xp: NumPy or CuPy.
        """
        byte, shift = map(xp.asarray, self._places)
        reach = int((shift + self.bits + 7).max()) // 8
        wide = np.dtype(np.uint64 if reach > 4 else np.uint32 if reach > 1 else np.uint8).type
        values: np.ndarray = packed[:, byte].astype(wide)
        for offset in range(1, reach):
            # No integer has bits past the row's end, so any byte will do.
            more = packed[:, xp.minimum(byte + offset, self.row_bytes - 1)].astype(wide)
            values |= more << wide(8 * offset)
        values >>= shift.astype(wide)
        values &= wide((1 << self.bits) - 1)
        narrow = np.uint8 if self.bits <= 8 else np.uint16 if self.bits <= 16 else np.uint32
        return values.astype(narrow, copy=False)
