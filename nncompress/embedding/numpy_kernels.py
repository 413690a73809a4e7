"""Kernels that look up and compare rows, in NumPy alone.

``nncompress.cpu.lookup`` has the same functions, compiled. They add in the same order, so both
give the same numbers, bit for bit.
"""

import numpy as np

from nncompress.embedding.packing import Packing
from nncompress.embedding.residual_kernels import add_residuals, read_blocks

__all__ = [
    "add_residuals",
    "compare",
    "decode",
    "maxima",
    "read_blocks",
    "scan",
    "square_norms",
]


def decode(
    rows: np.ndarray, total: np.ndarray, packed: np.ndarray, bits: int, codewords: np.ndarray
) -> None:
    """Sums the codewords of rows, group by group.

    Args:
        rows: Row numbers, int64 ``(n,)``.
        total: The output, float32 ``(n, D)``.
        packed: Codes of all rows, uint8 ``(N, row_bytes)``.
        bits: Bits of a code, b.
        codewords: float32 ``(M * 2**b, D)``.
    """
    groups = codewords.reshape(-1, 1 << bits, codewords.shape[1])
    codes = Packing(len(groups), bits).unpack(packed[rows])
    if len(codes) == 1 and codewords.shape[1] > 1:  # NumPy adds a single column in another order
        units = codes[0] + np.arange(len(groups)) * (1 << bits)
        np.add.reduce(codewords.take(units, axis=0), axis=0, out=total[0])
        return
    total[:] = 0.0
    for group, chosen in zip(groups, codes.T, strict=True):
        total += group.take(chosen, axis=0)


def scan(units: np.ndarray, scale: np.ndarray, scores: np.ndarray, look_up: np.ndarray) -> None:
    """Sums the entries of look-up tables for rows, and scales the sums.

    ``scores[i] = scale[i] * sum over u of look_up[u, units[i, u]]``.

    Args:
        units: uint8 or uint16 ``(n, U)``.
        scale: float32 ``(n,)``.
        scores: The output, float32 ``(n,)``.
        look_up: U look-up tables, float32 ``(U, S)``; S is greater than any unit.
    """
    scores[:] = 0.0
    for sums, chosen in zip(look_up, units.T, strict=True):
        scores += sums.take(chosen)
    scores *= scale


def square_norms(packed: np.ndarray, norms: np.ndarray, bits: int, gram: np.ndarray) -> None:
    """Computes the squared norms of rows from the inner products of codewords.

    Args:
        packed: Codes, uint8 ``(n, row_bytes)``.
        norms: The output, float64 ``(n,)``.
        bits: Bits of a code, b.
        gram: Inner products of codewords, doubled for codewords of different groups, float64
            ``(L, L)`` with ``L = M * 2**b``.
    """
    size = 1 << bits
    codes = Packing(len(gram) // size, bits).unpack(packed).astype(np.intp)
    codes += np.arange(codes.shape[1]) * size
    norms[:] = 0.0
    for m in range(codes.shape[1]):
        rows = codes[:, m] * len(gram)
        for other in range(m + 1):
            norms += gram.take(rows + codes[:, other])


def maxima(scores: np.ndarray, tops: np.ndarray) -> None:
    """Finds the largest score of each block.

    Args:
        scores: float32 ``(n, size)``.
        tops: The output, float32 ``(n,)``.
    """
    scores.max(axis=1, out=tops)


def compare(rows: np.ndarray, scales: np.ndarray, scores: np.ndarray, query: np.ndarray) -> None:
    """Multiplies rows of a sketch by a query; the order of additions is unspecified.

    Args:
        rows: int8 ``(n, D)``.
        scales: float32 ``(n,)``.
        scores: The output, float32 ``(n,)``.
        query: float32 ``(D,)``.
    """
    np.matmul(rows.astype(np.float32), query, out=scores)
    scores *= scales
