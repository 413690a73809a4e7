"""Pruning and k-means: blocks of small entries become zero, the others share a few values."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.packing import bits_for
from nncompress.errors import FormatError
from nncompress.matrix.functions import shared_blocks
from nncompress.matrix.methods.kmeans import CentroidFactors, KmeansMatrixCompressor, clusters
from nncompress.matrix.pruning import final_sparsity, kept_blocks, num_kept

F = chainer.functions


class PrunedKmeansFactors(CentroidFactors):
    """A bit for each block that tells whether it is kept, and centroid numbers for kept blocks.

    All other blocks stay zero while the centroids are trained.

    Args:
        shape: A's shape, ``(m, n)``.
        dtype: A's type.
        num_centroids: The number of centroids.
        block_size: Entries in a block.
        num_kept: The largest number of blocks to keep.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: np.dtype,
        num_centroids: int,
        block_size: int,
        num_kept: int,
    ) -> None:
        super().__init__(shape, dtype)
        self._bits, self._num_numbers = bits_for(num_centroids), num_kept
        self._num_blocks = self.shape[0] * self.shape[1] // block_size
        size = shared_blocks.packed_bytes(num_kept, self._bits)
        with self.init_scope():
            self.centroids = self._parameter(num_centroids, block_size)
        self.add_persistent("numbers", np.zeros(size, dtype=np.uint8))
        self.add_persistent("kept", np.zeros(-(-self._num_blocks // 8), dtype=np.uint8))

    def _trained_centroids(self) -> chainer.Variable:
        zeros = self.xp.zeros((1, self.centroids.shape[1]), dtype=self.dtype)
        if not chainer.config.enable_backprop:  # F.concat would take as long as several rows
            return chainer.as_variable(self.xp.concatenate([zeros, self.centroids.array]))
        return F.concat([zeros, self.centroids], axis=0)

    def _numbers(self) -> shared_blocks.Numbers:
        bits = bits_for(len(self.centroids) + 1)
        packed = self.derived.get("numbers", self.numbers, self._numbers_of_all)
        return shared_blocks.Numbers(packed, bits, self.shape, self.centroids.shape[1])

    def _numbers_of_all(self) -> np.ndarray:
        """Returns the numbers of all blocks, packed; 0 stands for a block of zeros."""
        to_cpu = chainer.backends.cuda.to_cpu
        kept = np.unpackbits(to_cpu(self.kept))[: self._num_blocks].astype(bool)
        stored = shared_blocks.Numbers(to_cpu(self.numbers), self._bits, (self._num_numbers, 1), 1)
        places = np.flatnonzero(kept)
        of_kept = stored.unpacked(np)[: len(places)].astype(np.uint32)
        if len(of_kept) < len(places) or (of_kept >= len(self.centroids)).any():
            raise FormatError(
                f"{len(places)} blocks are kept, with centroids up to {of_kept.max(initial=0)}; "
                f"wanted at most {self._num_numbers}, and centroids below {len(self.centroids)}: "
                "their file is damaged"
            )
        numbers = np.zeros(self._num_blocks, dtype=np.uint32)
        numbers[places] = of_kept + 1
        return self.xp.asarray(shared_blocks.pack(numbers, bits_for(len(self.centroids) + 1)))

    def _stored(self) -> list[np.ndarray]:
        return [self.centroids.array, self.numbers, self.kept]


class KmeansPruningMatrixCompressor(KmeansMatrixCompressor):
    """Prunes the blocks of smallest magnitude, and lets the others share ``rank`` centroids.

    The pruning schedule and ``pruning_fraction`` determine the number of pruned blocks; see
    ``final_sparsity``. Zeros of the matrix stay zero. It stores one bit for each block, and
    ``ceil(log2(rank))`` bits for each block that pruning leaves. Needs scikit-learn.
    """

    def static_matrix_compressor(self, a_matrix: np.ndarray) -> list[np.ndarray]:
        """Returns centroids ``(rank, block_size)``, numbers, and bits for the kept blocks.

        The numbers ``(num_kept,)``, of the type ``index_dtype()``, are those of the kept blocks'
        centroids in order, followed by zeros if fewer are kept. The bits, uint8
        ``(ceil(num_blocks / 8),)``, are 1 for each kept block, the first block in the highest bit
        of a byte.

        Raises:
            InputError: The matrix does not have two dimensions or is not finite, or ``block_size``
                does not divide the number of its entries.
        """
        host, xp = self._checked(a_matrix)
        blocks = host.reshape(self.num_blocks(host.shape), -1)
        kept = kept_blocks(blocks, final_sparsity(self._spec)) & blocks.any(axis=1)
        centroids = np.zeros((self._spec.rank, blocks.shape[1]))
        numbers = np.zeros(self.num_kept(host.shape), dtype=self.index_dtype())
        if kept.any():
            means, labels = clusters(blocks[kept], self._spec.rank)
            centroids[: len(means)], numbers[: len(labels)] = means, labels
        factors = [centroids.astype(host.dtype), numbers, np.packbits(kept)]
        return self._sized(
            host, factors, xp, self.make_factors(host.shape, host.dtype).stored_bytes
        )

    def num_kept(self, shape: tuple[int, int]) -> int:
        """Returns the number of blocks that pruning leaves in a matrix."""
        return num_kept(self.num_blocks(shape), final_sparsity(self._spec))

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> PrunedKmeansFactors:
        """Returns a link for centroids, which are trained, packed numbers and kept blocks."""
        spec = self._spec
        return PrunedKmeansFactors(shape, dtype, spec.rank, spec.block_size, self.num_kept(shape))
