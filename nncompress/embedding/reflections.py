"""A rotation in few bits: reflections, each told by a vector of small integers.

Any rotation of D columns is a product of D-1 reflections (Householder, "Unitary triangularization
of a nonsymmetric matrix", 1958). Reflection s takes the unit vector along its integers, which lies
in columns s to D-1, to the axis of column s. Whatever the integers are, the product is orthogonal:
rounding them turns the axes a little and adds no error of its own.
"""

from dataclasses import dataclass

import numpy as np

from nncompress.embedding.packing import Packing
from nncompress.errors import FormatError


@dataclass(frozen=True)
class Reflections:
    """Reflections, their integers in Rice's code (Rice, "Some practical universal noiseless
    coding techniques", 1979).

    Integer q is coded as ``u = 2q`` if it is not negative, and ``-2q - 1`` otherwise: the lowest
    ``low_bits`` of u are packed, and ``u >> low_bits`` is that many bits 0 and a bit 1. Reflection
    s has D-s integers; the packed bits of each reflection begin at a new byte.

    Attributes:
        dim: D.
        low_bits: The number of packed bits of each reflection's integers, uint8 ``(S,)``; S is
            below D.
        low: The packed bits, uint8.
        high: The other bits of all, one after the other, lowest bit of a byte first, uint8.
    """

    dim: int
    low_bits: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, integers: list[np.ndarray], dim: int) -> "Reflections":
        """Codes integers, ``(D-s,)`` for reflection s."""
        low_bits, low, high = [], [np.empty(0, np.uint8)], [np.empty(0, np.uint8)]
        for q in integers:
            folded, bits, _ = _folded(q)
            low_bits.append(bits)
            planes = folded[:, None] >> np.arange(bits) & 1
            low.append(np.packbits(planes.astype(np.uint8).reshape(-1), bitorder="little"))
            ends = np.cumsum((folded >> bits) + 1) - 1
            unary = np.zeros(ends[-1] + 1, np.uint8)
            unary[ends] = 1
            high.append(unary)
        packed = np.packbits(np.concatenate(high), bitorder="little")
        return cls(dim, np.array(low_bits, np.uint8), np.concatenate(low), packed)

    @property
    def nbytes(self) -> int:
        """The bytes of all arrays."""
        return self.low_bits.nbytes + self.low.nbytes + self.high.nbytes

    def integers(self) -> list[np.ndarray]:
        """Returns the integers of each reflection, int64 ``(D-s,)``.

        Raises:
            FormatError: The arrays do not fit each other.
        """
        counts = self.dim - np.arange(len(self.low_bits))
        ends = np.flatnonzero(np.unpackbits(self.high, bitorder="little"))
        if len(ends) != counts.sum():
            raise FormatError(
                f"{len(ends)} integers of reflections; wanted {counts.sum()} for "
                f"{len(self.low_bits)} reflections of {self.dim} columns"
            )
        folded = np.diff(ends, prepend=-1) - 1
        read, place, first = [], 0, 0
        for count, bits in zip(counts.tolist(), self.low_bits.tolist(), strict=True):
            own = folded[first : first + count] << bits
            if bits:
                packing = Packing(count, bits)
                row = self.low[place : place + packing.row_bytes]
                if len(row) < packing.row_bytes:
                    raise FormatError("the packed bits of reflections end too soon")
                own |= packing.unpack(row[None])[0]
                place += packing.row_bytes
            read.append(np.where(own & 1, -(own >> 1) - 1, own >> 1))
            first += count
        return read

    def axes(self) -> np.ndarray:
        """Returns the product: float32 ``(D, D)``, whose rows are orthonormal axes."""
        return axes_of(self.integers(), self.dim).astype(np.float32)


def bits_of(integers: np.ndarray) -> int:
    """Returns the bits that the integers of a reflection take."""
    return _folded(integers)[2]


def _folded(integers: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Returns integers as what is coded, the number of packed bits, and that of all bits."""
    folded = np.where(integers < 0, -2 * integers - 1, 2 * integers).astype(np.int64)
    sizes = [len(folded) * (bits + 1) + int((folded >> bits).sum()) for bits in range(16)]
    bits = int(np.argmin(sizes))
    return folded, bits, sizes[bits]


def axes_of(integers: list[np.ndarray], dim: int) -> np.ndarray:
    """Returns the axes that reflections make, float64 ``(D, D)``.

    Args:
        integers: ``(D-s,)`` for reflection s.
        dim: D.
    """
    axes = np.eye(dim)
    for s, q in enumerate(integers):
        normal = normal_of(q)
        if normal is not None:
            axes[s:] -= np.outer(2 * normal, normal @ axes[s:])
    return axes


def normal_of(integers: np.ndarray) -> np.ndarray | None:
    """Returns the unit normal of the reflection for integers; None where nothing is reflected.

    The sign is the one that makes the normal's length the larger: the axis of integers that point
    up the first column is turned to point down it.
    """
    length = np.sqrt(float(np.square(integers, dtype=np.float64).sum()))
    if length == 0:
        return None
    normal = integers / length
    normal[0] += 1.0 if normal[0] >= 0 else -1.0
    return normal / np.sqrt(normal @ normal)
