"""The best codebook for given codes.

Source: Babenko and Lempitsky, "Additive Quantization for Extreme Vector Compression", CVPR 2014,
section 3 (the codebook step).
"""

from types import ModuleType
from typing import Any

import numpy as np

# Weight of the old codebook, in rows. It settles what the codes leave open, such as a vector moved
# from every codeword of one group to every one of another, and codewords that no row uses.
_INERTIA = 1e-3
_BLOCK = 512  # columns to copy across the diagonal at a time


class LeastSquares:
    """Normal equations of the codebook, filled a block of rows at a time.

    For one-hot codes B of shape ``(N, L)`` and weights W the codebook C that minimizes the
    weighted ``||X - B C||^2`` solves ``B'W B C = B'W X``. ``B'W B`` holds, for each two codewords,
    the weight of the rows that use both. What the equations leave open is settled by
    ``_INERTIA * ||C - old C||^2``, so that a solution is never worse than the old codebook.

    Args:
        num_units: L = M*K.
        dim: D.
        xp: The library of the arrays: NumPy or CuPy.

    Attributes:
        counts: float64 ``(L, L)``: ``B'W B`` on and below the diagonal.
        sums: float64 ``(L, D)``: ``B'W X``.
        used: True for each codeword that any row uses, bool ``(L,)``.
        squares: The weighted ``||X||^2``.
        weight: The sum of the rows' weights so far.
    """

    def __init__(self, num_units: int, dim: int, xp: ModuleType = np) -> None:
        self._xp = xp
        self.counts = xp.zeros((num_units, num_units))
        self.sums = xp.zeros((num_units, dim))
        self.used = xp.zeros(num_units, dtype=bool)
        self.squares = 0.0
        self.weight = 0.0

    def solve(self, codebook: Any) -> Any:
        """Returns the best codebook, float64 ``(L, D)``.

        Args:
            codebook: The old codebook, ``(L, D)``.
        """
        xp, counts = self._xp, self.counts
        diagonal = counts.reshape(-1)[:: len(counts) + 1]
        weights = diagonal.copy()
        for first in range(0, len(counts), _BLOCK):
            own = slice(first, first + _BLOCK)
            counts[own, own] = xp.tril(counts[own, own]) + xp.tril(counts[own, own], -1).T
            counts[:first, own] = counts[own, :first].T
        diagonal += _INERTIA
        solution = xp.linalg.solve(counts, self.sums + _INERTIA * codebook)
        # Only entries above the diagonal stay changed, which nothing else reads.
        diagonal[...] = weights
        return solution

    def loss(self, codebook: Any) -> float:
        """Returns half the weighted mean squared distance that a codebook leaves, by the sums."""
        xp, codebook = self._xp, codebook.astype(np.float64)
        # Each pair of codewords occurs once below the diagonal.
        norms = xp.einsum("ld,ld->l", codebook, codebook)
        products = xp.empty_like(codebook)
        for first in range(0, len(codebook), _BLOCK):
            own, end = slice(first, first + _BLOCK), first + _BLOCK
            products[own] = xp.tril(self.counts[own, :end], first) @ codebook[:end]
        pairs = 2.0 * xp.vdot(codebook, products) - xp.diag(self.counts) @ norms
        error = self.squares - 2.0 * xp.vdot(codebook, self.sums) + pairs
        return 0.5 * max(0.0, float(error)) / self.weight
