"""Small signed integers in Rice's code.

Source: Rice, "Some practical universal noiseless coding techniques", JPL 1979.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.packing import Packing
from nncompress.errors import FormatError

_MOST_LOW_BITS = 24


@dataclass(frozen=True)
class RiceRows:
    """Rows of integers, each with the number of packed bits that suits it best.

    Integer q is mapped to ``u = 2q`` if it is not negative, and to ``u = -2q - 1`` otherwise. The
    lowest ``low_bits`` of u are packed; ``u >> low_bits`` is written as that many 0 bits and a 1
    bit. The packed bits of each row begin at a new byte; the other bits form a single string.

    Attributes:
        low_bits: The number of packed bits of each row's integers, uint8 ``(R,)``.
        low: The packed bits, uint8.
        high: The other bits, lowest bit of a byte first, uint8.
    """

    low_bits: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[np.ndarray]) -> "RiceRows":
        """Encodes rows of integers, each with at least one."""
        low_bits, low, high = [], [np.empty(0, np.uint8)], [np.empty(0, np.uint8)]
        for integers in rows:
            folded, bits, _ = _folded(integers)
            low_bits.append(bits)
            planes = folded[:, None] >> np.arange(bits) & 1
            low.append(np.packbits(planes.astype(np.uint8).reshape(-1), bitorder="little"))
            ends = np.cumsum((folded >> bits) + 1) - 1
            unary = np.zeros(ends[-1] + 1, np.uint8)
            unary[ends] = 1
            high.append(unary)
        packed = np.packbits(np.concatenate(high), bitorder="little")
        return cls(np.array(low_bits, np.uint8), np.concatenate(low), packed)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.low_bits.nbytes + self.low.nbytes + self.high.nbytes

    def read(self, lengths: Sequence[int]) -> list[np.ndarray]:
        """Returns the rows, int64.

        Args:
            lengths: The number of integers in each row.

        Raises:
            FormatError: The arrays do not hold that many integers.
        """
        # With the best number of packed bits, integers have at most three other bits on average.
        if len(self.high) > sum(lengths):
            raise FormatError(f"{len(self.high)} bytes of other bits for {sum(lengths)} integers")
        ends = np.flatnonzero(np.unpackbits(self.high, bitorder="little"))
        if len(lengths) != len(self.low_bits) or len(ends) != sum(lengths):
            raise FormatError(
                f"{len(ends)} integers in {len(self.low_bits)} rows; wanted {sum(lengths)} in "
                f"{len(lengths)}"
            )
        if self.low_bits.size and self.low_bits.max() > _MOST_LOW_BITS:
            raise FormatError(f"integers have {self.low_bits.max()} packed bits")
        folded = np.diff(ends, prepend=-1) - 1
        rows, place, first = [], 0, 0
        for count, bits in zip(lengths, self.low_bits.tolist(), strict=True):
            own = folded[first : first + count] << bits
            if bits:
                packing = Packing(count, bits)
                packed = self.low[place : place + packing.row_bytes]
                if len(packed) < packing.row_bytes:
                    raise FormatError("the packed bits of integers end too soon")
                own |= packing.unpack(packed[None])[0]
                place += packing.row_bytes
            rows.append(np.where(own & 1, -(own >> 1) - 1, own >> 1))
            first += count
        return rows


def bits_of(integers: np.ndarray) -> int:
    """Returns the bits that a row of integers takes."""
    return _folded(integers)[2]


def _folded(integers: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Returns the mapped integers, the number of packed bits, and the number of all bits."""
    folded = np.where(integers < 0, -2 * integers - 1, 2 * integers).astype(np.int64)
    sizes = [
        len(folded) * (bits + 1) + int((folded >> bits).sum()) for bits in range(_MOST_LOW_BITS)
    ]
    bits = int(np.argmin(sizes))
    return folded, bits, sizes[bits]
