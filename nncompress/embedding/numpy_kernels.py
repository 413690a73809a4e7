"""Kernels that look rows up and compare them, in NumPy alone.

``nncompress.cpu.lookup`` has the same functions compiled: the same sums in the same order, so
that both give the same numbers, bit for bit.
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
    """Adds up the codewords of rows, group after group.

    Args:
        rows: Row numbers, int64 ``(n,)``.
        total: float32 ``(n, D)``, written.
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
    """Adds up what look-up tables have for rows, and scales it.

    ``scores[i] = scale[i] * sum over u of look_up[u, units[i, u]]``.

    Args:
        units: uint8 or uint16 ``(n, U)``.
        scale: float32 ``(n,)``.
        scores: float32 ``(n,)``, written.
        look_up: U look-up tables, float32 ``(U, S)``; S is more than any unit.
    """
    scores[:] = 0.0
    for sums, chosen in zip(look_up, units.T, strict=True):
        scores += sums.take(chosen)
    scores *= scale


def square_norms(packed: np.ndarray, norms: np.ndarray, bits: int, gram: np.ndarray) -> None:
    """Computes the squared norms of rows from the inner products of codewords.

    Args:
        packed: Codes, uint8 ``(n, row_bytes)``.
        norms: float64 ``(n,)``, written.
        bits: Bits of a code, b.
        gram: float64 ``(L, L)``, L being ``M * 2**b``: inner products, those of codewords of
            different groups doubled.
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
        tops: float32 ``(n,)``, written.
    """
    scores.max(axis=1, out=tops)


def compare(rows: np.ndarray, scales: np.ndarray, scores: np.ndarray, query: np.ndarray) -> None:
    """Multiplies rows of a sketch with a query; the order of additions is left open.

    Args:
        rows: int8 ``(n, D)``.
        scales: float32 ``(n,)``.
        scores: float32 ``(n,)``, written.
        query: float32 ``(D,)``.
    """
    np.matmul(rows.astype(np.float32), query, out=scores)
    scores *= scales
