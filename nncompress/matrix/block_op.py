"""A compression op without an alpha: a block-diagonal matrix."""

import math

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.functions.block_rows import diagonal_rows
from nncompress.matrix.functions.blockwise import diagonal_product
from nncompress.matrix.scratch_op import ScratchCompressionOp, divided

F = chainer.functions


class BlockCompressionOp(ScratchCompressionOp):
    """A block-diagonal matrix of ``block_compression_factor`` blocks, trained from scratch.

    Only the blocks are stored and multiplied, whatever ``block_method`` is.

    Source: ``BlockCompressionOp`` of Google's graph_compression library, with its limit for the
    initial values. There, "mask" stores a full matrix and a mask of zeros and ones, which
    computes the same result and saves nothing.

    Attributes:
        c_matrix: The blocks, ``(count, m / count, n / count)``.

    Raises:
        InputError: The number of blocks does not divide the matrix's rows and columns.
    """

    method = "block diagonal"

    def _make_parameters(self) -> None:
        m, n = self.shape
        count = self._spec.block_compression_factor
        rows, columns = divided("block_compression_factor", count, rows=m, columns=n)
        limit = math.sqrt(3 / max(1, (m + n) / (2 * count)))
        self.c_matrix = self._uniform(limit, count, rows, columns)

    def _multiply(self, x: chainer.Variable, bias: chainer.Variable | None) -> chainer.Variable:
        return diagonal_product(x, self.c_matrix, bias)

    def _rows(self, ids: np.ndarray) -> chainer.Variable:
        return diagonal_rows(self.c_matrix, ids)

    def get_apply_convolution(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        count = len(self.c_matrix)
        if kernel[1] % count:
            return super().get_apply_convolution(x, kernel, **options)
        groups = F.reshape(self.c_matrix, (kernel[0], kernel[1] // count, *kernel[2:]))
        return F.convolution_2d(x, groups, groups=count, **options)
