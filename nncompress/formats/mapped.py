"""Telling the operating system how the pages of a mapped file will be used."""

import ctypes
import mmap
from functools import cache

import numpy as np

PAGE = mmap.PAGESIZE
_SAMPLED = 16  # pages checked to guess whether the others are in memory
_HAS_ADVICE = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED")


class MappedArray:
    """An array of bytes in a mapped file.

    Attributes:
        offset: Its start in the file.
    """

    def __init__(self, mapping: mmap.mmap, offset: int) -> None:
        self._mapping, self.offset = mapping, offset

    @classmethod
    def of(cls, array: np.ndarray) -> "MappedArray | None":
        """Returns the mapped form of an array; None for an array in memory.

        Args:
            array: C-contiguous.
        """
        base: object = array
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, memoryview):
            base = base.obj
        if not isinstance(base, mmap.mmap):
            return None
        return cls(base, array.ctypes.data - _address(base))

    def expect_random(self) -> None:
        """Turns off reading ahead for the whole file."""
        if _HAS_ADVICE:
            self._mapping.madvise(mmap.MADV_RANDOM)

    def fetch(self, begins: np.ndarray, ends: np.ndarray) -> None:
        """Requests bytes that are about to be read, all at once, unless they are in memory.

        The device can then read them together instead of one after the other.

        Args:
            begins: The start of each range in the array, int64 ``(n,)``.
            ends: The end of each range.
        """
        if not _HAS_ADVICE or not len(begins):
            return
        first, last = (self.offset + begins) // PAGE, (self.offset + ends - 1) // PAGE
        if self._are_resident(first[:: max(1, len(first) // _SAMPLED)]):
            return
        order = np.argsort(first, kind="stable")
        first, last = first[order], np.maximum.accumulate(last[order])
        # Merge adjacent ranges.
        starts = np.flatnonzero(np.r_[True, first[1:] > last[:-1] + 1])
        stops = np.r_[starts[1:] - 1, len(first) - 1]
        size = len(self._mapping)
        for begin, end in zip(first[starts].tolist(), last[stops].tolist(), strict=True):
            place = begin * PAGE
            self._mapping.madvise(mmap.MADV_WILLNEED, place, min((end + 1) * PAGE, size) - place)

    def _are_resident(self, pages: np.ndarray) -> bool:
        """Tells whether pages are in memory; False if that is unknown."""
        mincore = _mincore()
        if mincore is None:
            return False
        start, answer = _address(self._mapping), ctypes.c_ubyte(0)
        for page in pages.tolist():
            place = ctypes.c_void_p(start + page * PAGE)
            if mincore(place, ctypes.c_size_t(1), ctypes.byref(answer)) or not answer.value & 1:
                return False
        return True


def _address(mapping: mmap.mmap) -> int:
    return np.frombuffer(mapping, np.uint8, 1).ctypes.data


@cache
def _mincore():
    """Returns the system's function that tells which pages are in memory, or None."""
    return getattr(ctypes.CDLL(None), "mincore", None) if hasattr(mmap, "MADV_RANDOM") else None
