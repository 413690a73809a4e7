"""k-means: blocks of entries share a few values."""

import warnings

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.errors import InputError
from nncompress.matrix.methods.interface import Factors, MatrixCompressorInterface

F = chainer.functions

_SEED = 15


class KmeansFactors(Factors):
    """Centroids, which are trained, and each block's number; a centroid of zeros stays zero."""

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype,
        centroids: tuple[int, int],
        num_blocks: int,
        kind: np.dtype,
    ) -> None:
        super().__init__(shape, dtype)
        with self.init_scope():
            self.centroids = self._parameter(*centroids)
        self.add_persistent("numbers", np.zeros(num_blocks, dtype=kind))
        self.add_persistent("has_zero", np.zeros((), dtype=np.uint8))

    def matrix(self) -> chainer.Variable:
        # Multiplied by 0 it is zero whatever an optimizer does to it, and has no gradient.
        shares = self.xp.ones(self.centroids.shape, dtype=self.dtype)
        shares[0] -= self.has_zero
        return F.reshape(gather_rows(self.centroids * shares, self.numbers), self.shape)

    def _stored(self) -> list[np.ndarray]:
        return [self.centroids.array, self.numbers, self.has_zero]


class KmeansMatrixCompressor(MatrixCompressorInterface):
    """Replaces blocks of ``block_size`` consecutive entries by one of ``rank`` centroids each.

    Blocks of zeros have a centroid of their own, which is zero and stays so. Needs scikit-learn.
    Source: Gong et al., "Compressing Deep Convolutional Networks using Vector Quantization", 2014.
    """

    def static_matrix_compressor(self, a_matrix: np.ndarray) -> list[np.ndarray]:
        """Returns centroids ``(rank, block_size)``, each block's, and whether the first is zero.

        The blocks' numbers ``(m*n/block_size,)`` are uint8 up to 256 centroids, and uint16 or
        int32 above. If there are blocks of zeros, their centroid is the first, and what comes last
        is 1, uint8; otherwise 0.

        Raises:
            InputError: The matrix is not of two dimensions or not finite, ``block_size`` does not
                divide the number of its entries, or ``rank`` leaves no centroid beside zero.
        """
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        host, xp = self._checked(a_matrix)
        num_blocks = self.num_blocks(host.shape)
        blocks = self._prepared(host).reshape(num_blocks, -1)
        zero = ~blocks.any(axis=1)
        centroids = np.zeros((self._spec.rank, blocks.shape[1]))
        numbers = np.zeros(num_blocks, dtype=self.index_dtype())
        others = blocks[~zero].astype(np.float64)
        first = int(zero.any())  # the centroid of zeros, if there is one, comes first
        most = self._spec.rank - first
        if len(others) and most < 1:
            raise InputError("rank is 1 and the matrix has blocks of zeros; wanted at least 2")
        if len(others):
            distinct = len(np.unique(others, axis=0))
            means = KMeans(min(most, distinct), n_init=1, random_state=_SEED)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                labels = means.fit_predict(others)
            centroids[first : first + means.n_clusters] = means.cluster_centers_
            numbers[~zero] = labels + first
        return self._sized(
            host, [centroids.astype(host.dtype), numbers, np.array(first, dtype=np.uint8)], xp
        )

    def _prepared(self, a: np.ndarray) -> np.ndarray:
        """Returns the matrix that is quantized."""
        return a

    def num_blocks(self, shape: tuple[int, int]) -> int:
        """Returns how many blocks a matrix has."""
        entries, size = shape[0] * shape[1], self._spec.block_size
        if entries % size:
            raise InputError(
                f"block_size is {size}, which does not divide the {entries} entries of a matrix "
                f"of shape {shape}"
            )
        return entries // size

    def index_dtype(self) -> np.dtype:
        """Returns the type of the blocks' numbers."""
        rank = self._spec.rank
        return np.dtype(np.uint8 if rank <= 256 else np.uint16 if rank <= 65_536 else np.int32)

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> KmeansFactors:
        """Returns a link for centroids, which are trained, and numbers."""
        centroids = self._spec.rank, self._spec.block_size
        return KmeansFactors(shape, dtype, centroids, self.num_blocks(shape), self.index_dtype())


class KmeansPruningMatrixCompressor(KmeansMatrixCompressor):
    """k-means after the ``pruning_fraction`` of entries of smallest magnitude became zero."""

    def _prepared(self, a: np.ndarray) -> np.ndarray:
        return _pruned(a, self._spec.pruning_fraction)


def _pruned(a: np.ndarray, fraction: float) -> np.ndarray:
    """Returns a matrix with the entries of smallest magnitude set to zero."""
    count = int(a.size * fraction)
    if not count:
        return a
    pruned = a.copy().reshape(-1)
    pruned[np.argsort(np.abs(pruned), kind="stable")[:count]] = 0
    return pruned.reshape(a.shape)
