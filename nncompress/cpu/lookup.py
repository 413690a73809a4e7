"""Looking up rows of a compressed embedding, and comparing a query with all of them.

``nncompress.embedding.numpy_kernels`` documents what each function computes, and computes the same
numbers, bit for bit: sums go from the first group to the last. ``cpu.residual`` documents where
residual stages differ.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import JIT, SUM
from nncompress.cpu.residual import add_residuals, read_blocks
from nncompress.cpu.target import READS_HALVES
from nncompress.cpu.vectors import sum_rows

__all__ = [
    "READS_HALVES",
    "add_residuals",
    "compare",
    "decode",
    "maxima",
    "read_blocks",
    "scan",
    "square_norms",
]

# The compiler may neither reorder additions nor fuse multiplications with them.
_EXACT = {**JIT, "fastmath": False}
_TILE_ROWS = 64


@njit(**_EXACT)
def _read_units(row, bits, units):
    """Unpacks a row's codes to numbers of codewords."""
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    waiting, held, byte = np.uint64(0), 0, 0
    for m in range(units.size):
        while held < bits:
            waiting |= np.uint64(row[byte]) << np.uint64(held)
            held += 8
            byte += 1
        units[m] = np.int32(waiting & mask) + np.int32(m << bits)
        waiting >>= np.uint64(bits)
        held -= bits


@njit(**_EXACT)
def decode(thread, threads, barrier, rows, total, packed, bits, codewords):
    """Adds up the codewords of rows, group after group.

    Codewords may be the bits of float16 numbers too, as uint16, if ``READS_HALVES``.
    """
    num_rows, dim = total.shape
    num_codebooks = codewords.shape[0] >> bits
    units = np.empty(num_codebooks, np.int32)
    sizes = (np.int64(num_codebooks), np.int64(dim), np.int64(dim))
    first, last = thread * num_rows // threads, (thread + 1) * num_rows // threads
    for i in range(first, last):
        _read_units(packed[rows[i]], bits, units)
        sum_rows(
            codewords.dtype.type(0),
            np.int64(total.ctypes.data + 4 * i * dim), np.int64(codewords.ctypes.data),
            np.int64(units.ctypes.data), sizes,
        )  # fmt: skip


@njit(**_EXACT)
def scan(thread, threads, barrier, units, scale, scores, look_up):
    """Adds up the entries of look-up tables for each row, and scales the sums."""
    num_rows = units.shape[0]
    for i in range(thread * num_rows // threads, (thread + 1) * num_rows // threads):
        total = np.float32(0)
        for u in range(units.shape[1]):
            total += look_up[u, units[i, u]]
        scores[i] = total * scale[i]


@njit(**_EXACT)
def square_norms(thread, threads, barrier, packed, norms, bits, gram):
    """Computes the squared norms of rows from the inner products of codewords."""
    num_rows = norms.size
    num_codebooks = gram.shape[0] >> bits
    units = np.empty((num_codebooks, _TILE_ROWS), np.int32)
    one = np.empty(num_codebooks, np.int32)
    last = (thread + 1) * num_rows // threads
    for first in range(thread * num_rows // threads, last, _TILE_ROWS):
        n = min(_TILE_ROWS, last - first)
        for i in range(n):
            _read_units(packed[first + i], bits, one)
            units[:, i] = one
        norms[first : first + n] = 0.0
        for m in range(num_codebooks):
            for other in range(m + 1):
                for i in range(n):
                    norms[first + i] += gram[units[m, i], units[other, i]]


@njit(**(_EXACT | {"fastmath": {"nnan", "nsz"}}))
def maxima(thread, threads, barrier, scores, tops):
    """Finds the largest score of each block."""
    for i in range(thread * tops.size // threads, (thread + 1) * tops.size // threads):
        top = scores[i, 0]
        for j in range(1, scores.shape[1]):
            top = max(top, scores[i, j])
        tops[i] = top


@njit(**SUM)
def compare(thread, threads, barrier, rows, scales, scores, query):
    """Multiplies rows of a sketch by a query, with additions in any order."""
    num_rows, dim = rows.shape
    for i in range(thread * num_rows // threads, (thread + 1) * num_rows // threads):
        total = np.float32(0)
        for d in range(dim):
            total += np.float32(rows[i, d]) * query[d]
        scores[i] = total * scales[i]
