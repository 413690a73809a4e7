"""k-means: blocks of entries share a few values."""

import warnings

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.packing import bits_for
from nncompress.errors import InputError
from nncompress.matrix.functions import shared_blocks
from nncompress.matrix.methods.interface import Factors, MatrixCompressorInterface
from nncompress.missing import brought_by

_SEED = 15


class CentroidFactors(Factors):
    """Base of factors whose blocks of entries are centroids, which are trained.

    While the centroids stay the same, the decoded matrix is kept if memory allows. A subclass
    stores centroids, packed numbers, and one more array.
    """

    _bits: int  # of a number
    _num_numbers: int  # the count of stored numbers

    def assign(self, factors: list[np.ndarray]) -> None:
        """Sets the centroids, the numbers, given unpacked, and the subclass's own array."""
        centroids, numbers, mark = factors
        if numbers.shape != (self._num_numbers,):
            raise InputError(
                f"expected the numbers of {self._num_numbers} blocks, got {numbers.size}"
            )
        packed = shared_blocks.pack(chainer.backends.cuda.to_cpu(numbers), self._bits)
        super().assign([centroids, self.xp.asarray(packed), mark])

    def matrix(self) -> chainer.Variable:
        trained = self._trained_centroids()
        centroids = trained.array
        matrix = self.derived.get_large(
            "matrix",
            self.centroids.array.tobytes(),
            lambda: shared_blocks.decode(centroids, self._numbers()),
            "k-means: the decoded matrix {} x {}".format(*self.shape),
        )
        if not chainer.config.enable_backprop:
            return chainer.as_variable(matrix)
        return shared_blocks.matrix_of(trained, self._numbers(), matrix)

    def lookup(self, ids: np.ndarray) -> chainer.Variable:
        return shared_blocks.look_up(self._trained_centroids(), self._numbers(), ids)

    def _trained_centroids(self) -> chainer.Variable:
        """Returns the current centroids, ``(c, block_size)``."""
        raise NotImplementedError

    def _numbers(self) -> shared_blocks.Numbers:
        """Returns the number of each block's centroid."""
        raise NotImplementedError


class KmeansFactors(CentroidFactors):
    """Centroids, which are trained, and each block's number, packed.

    A centroid of zeros stays zero.

    Args:
        shape: A's shape, ``(m, n)``.
        dtype: A's type.
        num_centroids: The number of centroids.
        block_size: Entries in a block.
    """

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype, num_centroids: int, block_size: int
    ) -> None:
        super().__init__(shape, dtype)
        self._bits = bits_for(num_centroids)
        self._num_numbers = self.shape[0] * self.shape[1] // block_size
        size = shared_blocks.packed_bytes(self._num_numbers, self._bits)
        with self.init_scope():
            self.centroids = self._parameter(num_centroids, block_size)
        self.add_persistent("numbers", np.zeros(size, dtype=np.uint8))
        self.add_persistent("has_zero", np.zeros((), dtype=np.uint8))

    def _trained_centroids(self) -> chainer.Variable:
        if not int(self.has_zero):
            return self.centroids
        if not chainer.config.enable_backprop:  # faster than a product with Chainer's overhead
            array = self.centroids.array.copy()
            array[0] = 0
            return chainer.as_variable(array)
        # Multiplied by 0, it stays zero whatever an optimizer does, and its gradient is zero.
        shares = self.xp.ones(self.centroids.shape, dtype=self.dtype)
        shares[0] = 0
        return self.centroids * shares

    def _numbers(self) -> shared_blocks.Numbers:
        count, size = self.centroids.shape
        numbers = shared_blocks.Numbers(self.numbers, self._bits, self.shape, size)
        numbers.check(count, self.derived)
        return numbers

    def _stored(self) -> list[np.ndarray]:
        return [self.centroids.array, self.numbers, self.has_zero]


def clusters(blocks: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the means of clusters, and the number of each block's cluster.

    Args:
        blocks: ``(b, block_size)``, at least one.
        most: The largest number of clusters; there are fewer if fewer blocks are distinct.

    Returns:
        Means, float64 ``(c, block_size)``, and numbers, int32 ``(b,)``.
    """
    with brought_by("matrix", "k-means"):
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

    blocks = blocks.astype(np.float64)
    means = KMeans(min(most, len(np.unique(blocks, axis=0))), n_init=1, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = means.fit_predict(blocks)
    return means.cluster_centers_, labels


class KmeansMatrixCompressor(MatrixCompressorInterface):
    """Replaces blocks of ``block_size`` consecutive entries by one of ``rank`` centroids each.

    Blocks of zeros have a centroid of their own, which is zero and stays so. Needs scikit-learn.
    Source: Gong et al., "Compressing Deep Convolutional Networks using Vector Quantization", 2014.
    """

    def static_matrix_compressor(self, a_matrix: np.ndarray) -> list[np.ndarray]:
        """Returns centroids ``(rank, block_size)``, the blocks' numbers, and a flag for zeros.

        The blocks' numbers ``(m*n/block_size,)`` are uint8 for up to 256 centroids, and uint16 or
        int32 for more. If there are blocks of zeros, the first centroid is theirs and the flag,
        uint8, is 1; otherwise the flag is 0.

        Raises:
            InputError: The matrix does not have two dimensions or is not finite, it does not
                divide into blocks or has fewer blocks than centroids, or ``rank`` leaves no
                centroid besides zero.
        """
        host, xp = self._checked(a_matrix)
        blocks = host.reshape(self.num_blocks(host.shape), -1)
        zero = ~blocks.any(axis=1)
        centroids = np.zeros((self._spec.rank, blocks.shape[1]))
        numbers = np.zeros(len(blocks), dtype=self.index_dtype())
        first = int(zero.any())  # the centroid of zeros, if any, comes first
        if not zero.all():
            if self._spec.rank == first:
                raise InputError("rank is 1 and the matrix has blocks of zeros; wanted at least 2")
            means, labels = clusters(blocks[~zero], self._spec.rank - first)
            centroids[first : first + len(means)] = means
            numbers[~zero] = labels + first
        factors = [centroids.astype(host.dtype), numbers, np.array(first, dtype=np.uint8)]
        return self._sized(
            host, factors, xp, self.make_factors(host.shape, host.dtype).stored_bytes
        )

    def num_blocks(self, shape: tuple[int, int]) -> int:
        """Returns the number of blocks in a matrix.

        Raises:
            InputError: ``block_size`` does not divide the number of its entries, or there are
                fewer blocks than centroids.
        """
        entries, size = shape[0] * shape[1], self._spec.block_size
        if entries % size:
            raise InputError(
                f"block_size is {size}, which does not divide the {entries} entries of a matrix "
                f"of shape {shape}"
            )
        if self._spec.rank > entries // size:
            raise InputError(
                f"rank is {self._spec.rank}, which is more centroids than the {entries // size} "
                f"blocks of a matrix of shape {shape}; wanted at most {entries // size}"
            )
        return entries // size

    def index_dtype(self) -> np.dtype:
        """Returns the type of the blocks' numbers."""
        rank = self._spec.rank
        return np.dtype(np.uint8 if rank <= 256 else np.uint16 if rank <= 65_536 else np.int32)

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> KmeansFactors:
        """Returns a link for centroids, which are trained, and packed numbers."""
        self.num_blocks(shape)  # refuses sizes that do not fit
        return KmeansFactors(shape, dtype, self._spec.rank, self._spec.block_size)
