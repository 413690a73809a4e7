"""A compression op without an alpha: blocks and linear combinations of their products."""

import math

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.functions.block_rows import mixed_rows
from nncompress.matrix.functions.blockwise import mixed_product
from nncompress.matrix.scratch_op import ScratchCompressionOp, divided

F = chainer.functions


class MixedBlockCompressionOp(ScratchCompressionOp):
    """``compression_factor`` blocks; each output block is a linear combination of their products.

    With k blocks, block j is multiplied by the inputs j, j+k, j+2k...; the i-th of the k output
    blocks is the sum over j of these products, weighted by ``linear_mixer[i, j]`` summed over
    ``num_bases`` bases.

    Source: ``MixedBlockCompressionOp`` of Google's graph_compression library, with the axes of its
    ``block_matrices`` in another order, and with its limits for the initial values.

    Attributes:
        block_matrices: ``(m / k, k, n / k)``.
        linear_mixer: ``(k, k, num_bases)``.

    Raises:
        InputError: The number of blocks does not divide the matrix's rows and columns, or the
            mixer would have more entries than the matrix.
    """

    method = "mixed blocks"

    def _make_parameters(self) -> None:
        m, n = self.shape
        count = self._spec.compression_factor
        rows, columns = divided("compression_factor", count, rows=m, columns=n)
        most = m * n // count**2
        if self._spec.num_bases > most:
            raise InputError(
                f"num_bases is {self._spec.num_bases}, with which the mixer of {count} x {count} "
                f"blocks has more entries than the matrix of shape {self.shape}; wanted at most "
                f"{most}"
            )
        limit = math.sqrt(3 / max(1, (m + n) / 2))
        self.block_matrices = self._uniform(limit, rows, count, columns)
        limit = math.sqrt(3 / count)
        self.linear_mixer = self._uniform(limit, count, count, self._spec.num_bases)

    def _multiply(self, x: chainer.Variable, bias: chainer.Variable | None) -> chainer.Variable:
        return mixed_product(x, self.block_matrices, self._mixer(), bias)

    def _rows(self, ids: np.ndarray) -> chainer.Variable:
        return mixed_rows(self.block_matrices, self._mixer(), ids)

    def _mixer(self) -> chainer.Variable:
        """Returns the sum of all bases, ``(k, k)``."""
        # The gradient of F.sum is a view, which an optimizer's hooks cannot write to.
        ones = self.xp.ones(self.linear_mixer.shape[2], self.dtype)
        return F.tensordot(self.linear_mixer, ones, axes=1)
