"""A matrix whose blocks of entries are taken from a few centroids, stored as packed numbers.

Blocks follow each other in the order of the matrix's entries, ``(m, n)`` row by row.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.intrinsics import load, store
from nncompress.cpu.packed_numbers import read_numbers

_CHUNK = 512  # numbers to unpack at a time
_GROUP = 8  # every group of this many numbers begins on a byte


@njit(**INLINE)
def _read_chunk(packed, bits, chunk, numbers, count):
    read_numbers(
        np.int64(packed.ctypes.data), packed.size, bits, chunk, np.int64(numbers.ctypes.data),
        np.int64(count),
    )  # fmt: skip


@njit(**JIT)
def decode(packed, bits, centroids, ids, rows):
    """Writes rows of the matrix.

    Args:
        packed: Numbers of the blocks' centroids, uint8, one after the other.
        bits: Bits of a number.
        centroids: float32 or float64 ``(c, block_size)``.
        ids: Numbers of rows, int64, none negative.
        rows: ``(len(ids), n)``, of the centroids' type, overwritten.
    """
    numbers, size, dim = np.empty(_CHUNK, np.int32), centroids.shape[1], rows.shape[1]
    zero, source = rows.dtype.type(0), np.int64(centroids.ctypes.data)
    for i in range(ids.size):
        first, target = ids[i] * dim, np.int64(rows.ctypes.data) + rows.itemsize * dim * i
        begin, end = first // size, (first + dim + size - 1) // size
        for chunk in range(begin // _GROUP * _GROUP, end, _CHUNK):
            last = min(chunk + _CHUNK, end)
            _read_chunk(packed, bits, chunk, numbers, last - chunk)
            start = max(begin, chunk)
            if size == 1:
                for block in range(start, last):
                    number = np.int64(np.uint32(numbers[np.uint32(block - chunk)]))
                    store(load(zero, source, number), target, block - first)
            else:
                for block in range(start, last):
                    number = np.int64(np.uint32(numbers[np.uint32(block - chunk)])) * size
                    place = block * size - first
                    for k in range(max(0, -place), min(size, dim - place)):
                        store(load(zero, source, number + k), target, place + k)


@njit(**JIT)
def add_by_number(packed, bits, ids, rows, sums):
    """Adds gradients of rows of the matrix to the sums of their centroids.

    Args:
        packed: Numbers of the blocks' centroids, uint8, one after the other.
        bits: Bits of a number.
        ids: Numbers of rows, int64, none negative.
        rows: Gradients, ``(len(ids), n)``.
        sums: float64 ``(c, block_size)``, added to.
    """
    numbers, size, dim = np.empty(_CHUNK, np.int32), sums.shape[1], rows.shape[1]
    for i in range(ids.size):
        first = ids[i] * dim
        begin, end = first // size, (first + dim + size - 1) // size
        for chunk in range(begin // _GROUP * _GROUP, end, _CHUNK):
            last = min(chunk + _CHUNK, end)
            _read_chunk(packed, bits, chunk, numbers, last - chunk)
            for block in range(max(begin, chunk), last):
                number, place = np.uint32(numbers[block - chunk]), block * size - first
                for k in range(max(0, -place), min(size, dim - place)):
                    sums[number, k] += rows[i, place + k]
