"""The best codebook for given codes.

Source: Babenko and Lempitsky, "Additive Quantization for Extreme Vector Compression", CVPR 2014,
section 3 (the codebook step).
"""

import numpy as np

# Weight of the old codebook, in rows: it fills what the codes leave open, such as a vector moved
# from each codeword of one group to each of another, and a codeword that no row uses.
_INERTIA = 1e-3


class LeastSquares:
    """Normal equations of the codebook, filled a block of rows at a time.

    For one-hot codes B of shape ``(N, L)`` and weights W the codebook C that minimizes the
    weighted ``||X - B C||^2`` solves ``B'W B C = B'W X``. ``B'W B`` holds the weight of the rows
    that use two codewords together. What the equations leave open is settled by
    ``_INERTIA * ||C - old C||^2``, so that a solution is never worse than the old codebook.

    Args:
        num_logits: L = M*K.
        dim: D.

    Attributes:
        counts: float64 ``(L, L)``: ``B'W B`` on and below the diagonal.
        sums: float64 ``(L, D)``: ``B'W X``.
        squares: The weighted ``||X||^2``.
        weight: The sum of the rows' weights so far.
    """

    def __init__(self, num_logits: int, dim: int) -> None:
        self.counts = np.zeros((num_logits, num_logits))
        self.sums = np.zeros((num_logits, dim))
        self.squares = 0.0
        self.weight = 0.0

    def solve(self, codebook: np.ndarray) -> np.ndarray:
        """Returns the best codebook, float64 ``(L, D)``.

        Args:
            codebook: The old one.
        """
        counts = self.counts.copy()
        for unit in range(1, len(counts)):
            counts[:unit, unit] = counts[unit, :unit]
        counts[np.diag_indices_from(counts)] += _INERTIA
        return np.linalg.solve(counts, self.sums + _INERTIA * codebook)

    def loss(self, codebook: np.ndarray) -> float:
        """Returns half the weighted mean squared distance a codebook leaves, from the sums."""
        codebook = codebook.astype(np.float64)
        # Each pair of codewords is below the diagonal once.
        norms = np.einsum("ld,ld->l", codebook, codebook)
        pairs = 2.0 * np.vdot(codebook, self.counts @ codebook) - np.diag(self.counts) @ norms
        error = self.squares - 2.0 * np.vdot(codebook, self.sums) + pairs
        return 0.5 * max(0.0, error) / self.weight
