"""Low rank: truncated singular value decomposition."""

import numpy as np

from nncompress.matrix.methods.interface import MatrixCompressorInterface, ProductFactors

# Below this fraction of the full rank, the randomized decomposition is faster.
_SMALL_SHARE = 0.125
_SMALL_MATRIX = 128
_OVERSAMPLING, _POWER_ITERATIONS = 10, 4


class LowRankDecompMatrixCompressor(MatrixCompressorInterface):
    """Compresses A to B C, of rank ``ceil(min(m, n) * 100 / rank)``, at most ``min(m, n)``.

    With A = U S V, ``B = U sqrt(S)`` and ``C = sqrt(S) V`` for the largest singular values. (The
    original's README adds 1 to the rank; its code, and this one, do not.)
    """

    def static_matrix_compressor(self, a_matrix: np.ndarray) -> list[np.ndarray]:
        """Returns B ``(m, k)`` and C ``(k, n)``."""
        host, xp = self._checked(a_matrix)
        k = _reduced(min(host.shape), self._spec.rank)
        u, s, v = _truncated(host.astype(np.float64), k)
        root = np.sqrt(s)
        factors = [(u * root).astype(host.dtype), (root[:, None] * v).astype(host.dtype)]
        return self._sized(host, factors, xp)

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> ProductFactors:
        """Returns a link for both factors, which are trained."""
        k = _reduced(min(shape), self._spec.rank)
        return ProductFactors(shape, dtype, (shape[0], k), (k, shape[1]))


def _reduced(full: int, rank: int) -> int:
    """Returns ``full * 100 / rank``, rounded up, from 1 to ``full``."""
    return max(1, min(full, -(-full * 100 // rank)))


def _truncated(a: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the k largest singular values and their vectors.

    If k is small, it uses random projections with power iterations (Halko, Martinsson and Tropp,
    "Finding Structure with Randomness", SIAM Review 2011, algorithms 4.4 and 5.1).
    """
    smaller = min(a.shape)
    if smaller <= _SMALL_MATRIX or k > _SMALL_SHARE * smaller:
        u, s, v = np.linalg.svd(a, full_matrices=False)
        return u[:, :k], s[:k], v[:k]
    width = min(smaller, k + max(_OVERSAMPLING, k // 2))
    basis = a @ np.random.default_rng(0).normal(size=(a.shape[1], width))
    for _ in range(_POWER_ITERATIONS):
        basis = np.linalg.qr(basis)[0]
        basis = a @ np.linalg.qr(a.T @ basis)[0]
    basis = np.linalg.qr(basis)[0]
    u, s, v = np.linalg.svd(basis.T @ a, full_matrices=False)
    return (basis @ u)[:, :k], s[:k], v[:k]
