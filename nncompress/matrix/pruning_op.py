"""A compression op whose matrix is pruned gradually before it is factored."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.hyperparameters import CompressionHParams
from nncompress.matrix.methods.interface import MatrixCompressorInterface
from nncompress.matrix.options import UpdateOptions
from nncompress.matrix.pruning import final_sparsity, kept_blocks, mask_is_due, sparsity_at


class PruningCompressionOp(CompressionOp):
    """The mix ``alpha * mask * A + (1 - alpha) * compressed(mask * A)``.

    A itself is not changed, so pruned blocks can come back with a later mask. When A is factored,
    the mask is set for the final sparsity and stays fixed.

    Source: ``KMeansPruningCompressionOp`` of Google's graph_compression library.

    Args:
        spec: Hyperparameters.
        a_matrix: As for ``CompressionOp``.
        compressor: The compressor of the pruned A.
        scope: The matrix's name in logs and tables.

    Attributes:
        mask: A bit for each block of A, uint8 ``(ceil(num_blocks / 8),)``; 0 for a pruned block.
        last_mask_update_step: The step of the mask's last update; 0 before the first.
    """

    state_names = (*CompressionOp.state_names, "mask", "last_mask_update_step")

    def __init__(
        self,
        spec: CompressionHParams,
        a_matrix: chainer.Parameter,
        compressor: MatrixCompressorInterface,
        scope: str = "default_scope",
    ) -> None:
        super().__init__(spec, a_matrix, compressor, scope)
        num_blocks = a_matrix.size // spec.block_size
        self.add_persistent("mask", np.full(-(-num_blocks // 8), 255, dtype=np.uint8))
        self.last_mask_update_step = 0
        self.register_persistent("last_mask_update_step")
        self._known_shares: np.ndarray | float | None = None  # computed when needed

    @property
    def is_plain(self) -> bool:
        """Whether the matrix is A itself."""
        return super().is_plain and isinstance(self._shares(), float)

    def run_scheduled_update(self, step_number: int) -> None:
        if self._spec.update_option != UpdateOptions.PYTHON_UPDATE:
            self._update_mask(step_number)
        super().run_scheduled_update(step_number)

    def run_update_step(self, step_number: int) -> None:
        if self._spec.update_option == UpdateOptions.PYTHON_UPDATE:
            self._update_mask(step_number)
        super().run_update_step(step_number)

    def drop_matrix(self) -> None:
        super().drop_matrix()
        self.mask = self._known_shares = None

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        self._known_shares = None
        super().serialize(serializer)

    def copyparams(self, link: chainer.Link, copy_persistent: bool = True) -> None:
        self._known_shares = None
        super().copyparams(link, copy_persistent)

    def device_resident_accept(self, visitor: object) -> None:
        self._known_shares = None
        super().device_resident_accept(visitor)

    def _update_mask(self, step: int) -> None:
        """Prunes to the schedule's sparsity if the step is due and A is not factored yet."""
        if self.num_updates == 0 and mask_is_due(self._spec, step, self.last_mask_update_step):
            self._prune(sparsity_at(self._spec, step))
            self.last_mask_update_step = int(step)

    def _prune(self, sparsity: float) -> None:
        blocks = self.a_matrix.array.reshape(-1, self._spec.block_size)
        kept = kept_blocks(blocks, sparsity)
        spare = self.xp.ones(8 * len(self.mask) - len(kept), dtype=bool)
        self.mask = self.xp.packbits(self.xp.concatenate([kept, spare]))
        self._known_shares = None

    def _factor(self) -> None:
        self._prune(final_sparsity(self._spec))
        super()._factor()

    def _plain(self) -> chainer.Variable:
        a, shares = super()._plain(), self._shares()
        return a if isinstance(shares, float) else a * shares

    def _shares(self) -> np.ndarray | float:
        """Returns the mask to multiply A by, ``(m, n)``; 1.0 while nothing is pruned."""
        if self._known_shares is None:
            size, dtype = self._spec.block_size, self.a_matrix.dtype
            bits = self.xp.unpackbits(self.mask)[: self.a_matrix.size // size]
            if bits.all():
                self._known_shares = 1.0
            else:
                self._known_shares = self.xp.repeat(bits.astype(dtype), size).reshape(self.shape)
        return self._known_shares
