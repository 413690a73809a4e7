"""Sorted lists of row numbers, taking little more room than a list number for each row.

Source: Elias, "Efficient storage and retrieval by content and address of static files", JACM 1974;
Fano, "On the number of bits required to implement an associative memory", MIT 1971.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nncompress.embedding.packing import Packing
from nncompress.errors import FormatError

_TOGETHER = 8  # that many low bits fill whole bytes
_MOST_LOW_BITS = 32
# Passes over the rows while writing all lists: sorting all rows at once would take several times
# the memory.
_PASSES = 16
_BLOCK_ROWS = 1 << 22


@dataclass(frozen=True)
class RowLists:
    """Lists that together hold every row exactly once.

    The lowest ``b = floor(log2(C))`` bits of each number are packed, eight numbers together. They
    are followed by a string of bits, lowest bit of a byte first, with a 1 at ``i + (number >> b)``
    for number i of the list, counted from 0. Each list begins at a new byte; the lengths of the
    lists tell where.

    Attributes:
        lengths: The number of rows in each list, uint32 or uint64 ``(C,)``.
        data: uint8.
        num_rows: N.
    """

    lengths: np.ndarray
    data: np.ndarray
    num_rows: int

    @classmethod
    def of(cls, own: np.ndarray, count: int) -> "RowLists":
        """Makes lists of the rows.

        Args:
            own: The list of each row, unsigned ``(N,)``.
            count: The number of lists, C.
        """
        lengths = np.zeros(count, np.int64)
        for first in range(0, len(own), _BLOCK_ROWS):
            lengths += np.bincount(own[first : first + _BLOCK_ROWS], minlength=count)
        kind = np.uint32 if lengths.max() < 1 << 32 else np.uint64
        empty = cls(lengths.astype(kind), np.empty(0, np.uint8), len(own))
        shares = np.arange(1, _PASSES) * (len(own) / _PASSES)
        bounds = np.searchsorted(np.cumsum(lengths), shares).tolist()
        parts = [empty.data]
        for first, last in zip([0, *bounds], [*bounds, count], strict=True):
            rows = np.flatnonzero((own >= first) & (own < last))
            rows = rows[np.argsort(own[rows], kind="stable")]
            ends = np.cumsum(lengths[first:last])
            for part in np.split(rows, ends[:-1]):
                parts += empty.coded(part) if len(part) else ()
        return cls(empty.lengths, np.concatenate(parts), len(own))

    @property
    def nbytes(self) -> int:
        """Bytes of the lists and their lengths."""
        return self.lengths.nbytes + self.data.nbytes

    @property
    def _low_bits(self) -> int:
        return min(len(self.lengths).bit_length() - 1, _MOST_LOW_BITS)

    def _sizes(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the bytes of lists' low bits and of their other bits, given their lengths."""
        bits = self._low_bits
        high = (lengths + (self.num_rows - 1 >> bits) + 7) // 8
        return -(-lengths // _TOGETHER) * bits, np.where(lengths > 0, high, 0)

    @cached_property
    def _own_lengths(self) -> np.ndarray:
        """The lengths, int64, read once, so that later changes to the file cannot affect them."""
        return self.lengths.astype(np.int64)

    @cached_property
    def _starts(self) -> np.ndarray:
        """The start of each list in ``data``, and the end of the last one, int64 ``(C + 1,)``.

        Raises:
            FormatError: The lengths do not match the number of rows or of bytes.
        """
        lengths = self._own_lengths
        # A check that cannot overflow, whatever the lengths are.
        total = lengths.sum(dtype=np.float64)
        if lengths.min() < 0 or lengths.max() > self.num_rows or total != self.num_rows:
            raise FormatError(f"the lengths of the lists do not add up to {self.num_rows:,} rows")
        low, high = self._sizes(lengths)
        starts = np.concatenate([[0], np.cumsum(low + high)])
        if starts[-1] != len(self.data):
            raise FormatError(
                f"the lists have {len(self.data):,} bytes; wanted {starts[-1]:,} for their lengths"
            )
        return starts

    def read(self, which: np.ndarray) -> np.ndarray:
        """Returns the rows of lists, list by list, int64.

        In a damaged file, lists may have other or fewer rows, but only existing ones.

        Args:
            which: The numbers of lists, ``(n,)``.

        Raises:
            FormatError: The lengths of the lists are damaged.
        """
        starts, lengths = self._starts, self._own_lengths[which]
        low_sizes, high_sizes = self._sizes(lengths)
        middles = starts[which] + low_sizes
        low = self._bytes(starts[which], middles)
        high = self._bytes(middles, middles + high_sizes)
        return self.decoded(low, high, lengths)

    def _bytes(self, firsts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Returns ranges of ``data``, one after the other."""
        places = zip(firsts.tolist(), ends.tolist(), strict=True)
        return np.concatenate([self.data[first:end] for first, end in places])

    def decoded(self, low: np.ndarray, high: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Returns the rows of lists, list by list, int64.

        Args:
            low: The bytes of their low bits, list by list.
            high: The bytes of the other bits.
            lengths: Their lengths, int64 ``(n,)``.
        """
        low_sizes, high_sizes = self._sizes(lengths)
        bits = self._low_bits
        ones = np.flatnonzero(np.unpackbits(high, bitorder="little"))
        edges = 8 * np.concatenate([[0], np.cumsum(high_sizes)])
        bounds = np.searchsorted(ones, edges)
        own = np.repeat(np.arange(len(lengths)), np.diff(bounds))
        inside = np.arange(len(ones)) - bounds[own]
        if (there := inside < lengths[own]).sum() < len(ones):  # damaged
            ones, own, inside = ones[there], own[there], inside[there]
        rows = ones - edges[own] - inside << bits
        if bits:
            packed = low.reshape(-1, bits)
            places = np.cumsum(low_sizes) - low_sizes
            lowest = Packing(_TOGETHER, bits).unpack(packed).reshape(-1)
            rows |= lowest[places[own] // bits * _TOGETHER + inside]
        return np.minimum(rows, self.num_rows - 1)

    def coded(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the bytes of a list's low bits, and of its other bits.

        Args:
            rows: Row numbers in ascending order, int64 ``(n,)``, at least one.
        """
        bits = self._low_bits
        _, (size,) = self._sizes(np.array([len(rows)]))
        ones = np.zeros(8 * size, np.uint8)
        ones[(rows >> bits) + np.arange(len(rows))] = 1
        high = np.packbits(ones, bitorder="little")
        if bits == 0:
            return np.empty(0, np.uint8), high
        padded = np.zeros(-(-len(rows) // _TOGETHER) * _TOGETHER, np.int64)
        padded[: len(rows)] = rows & (1 << bits) - 1
        low = Packing(_TOGETHER, bits).pack(padded.reshape(-1, _TOGETHER))
        return low.reshape(-1), high
