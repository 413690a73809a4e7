"""A compression op without an alpha: learned projections of a matrix's input and output sides."""

import math

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.errors import InputError
from nncompress.matrix.functions.block_rows import weighted_rows
from nncompress.matrix.functions.blockwise import blockwise_products
from nncompress.matrix.scratch_op import ScratchCompressionOp

F = chainer.functions


class InputOutputCompressionOp(ScratchCompressionOp):
    """Learned, block-wise projections of a matrix's input and output sides, without an alpha.

    All blocks of ``input_block_size`` input entries go through one matrix B, which makes them
    ``input_compression_factor`` times smaller, then through C; the resulting blocks go through one
    matrix D, which makes them ``output_block_size`` entries long. A itself is dropped at the start
    and plays no part.

    If ``output_block_size`` equals the number of filters of a convolution, this is a convolution
    with fewer filters, followed by a projection to all of them.

    Source: ``InputOutputCompressionOp`` of Google's graph_compression library, with all matrices
    transposed, and with its limits for the initial values.

    Attributes:
        b_matrix: ``(input_block_size / factor, input_block_size)``, or None.
        c_matrix: ``(m / output's factor, n / input's factor)``.
        d_matrix: ``(output_block_size, output_block_size / factor)``, or None.

    Raises:
        InputError: Block sizes or factors do not divide the sizes evenly, or a factor is given for
            a side that is not compressed.
    """

    method = "input-output"

    def _make_parameters(self) -> None:
        spec = self._spec
        out_size, in_size = self.shape
        inner_in, inner_out = self._reduced("input", in_size), self._reduced("output", out_size)
        self.b_matrix = self.d_matrix = None
        if spec.compress_input:
            size = spec.input_block_size
            self.b_matrix = self._xavier(size // spec.input_compression_factor, size)
        factor = spec.input_compression_factor
        self.c_matrix = self._xavier(inner_out, inner_in, factor)
        if spec.compress_output:
            size = spec.output_block_size
            self.d_matrix = self._xavier(size, size // spec.output_compression_factor)

    def _xavier(self, rows: int, columns: int, factor: int = 1) -> chainer.Parameter:
        limit = math.sqrt(3 / max(1, (rows + columns) / (2 * factor)))
        return self._uniform(limit, rows, columns)

    def _reduced(self, side: str, size: int) -> int:
        factor = self._spec.get(f"{side}_compression_factor")
        if not self._spec.get(f"compress_{side}"):
            if factor != 1:
                raise InputError(
                    f"{side}_compression_factor is {factor} with compress_{side}=False; wanted "
                    f"compress_{side}=True, or a factor of 1"
                )
            return size
        block = self._spec.get(f"{side}_block_size")
        if size % block or block % factor:
            raise InputError(
                f"{side}_block_size is {block} and {side}_compression_factor is {factor}; wanted "
                f"a block size that divides {size}, and a factor that divides the block size"
            )
        return size // factor

    def _multiply(self, x: chainer.Variable, bias: chainer.Variable | None) -> chainer.Variable:
        matrices = (self.b_matrix, self.c_matrix, self.d_matrix)
        given = (matrix for matrix in matrices if matrix is not None)
        return blockwise_products(x, *given, bias=bias)

    def _times_b(self, rows: chainer.Variable) -> chainer.Variable:
        """Returns rows ``(L, n / input's factor)`` times the blocks of B: ``(L, n)``."""
        if self.b_matrix is None:
            return rows
        # F.matmul's gradients are C-contiguous, as parameters are, which ChainerMN needs.
        blocks = F.reshape(rows, (-1, len(self.b_matrix)))
        return F.reshape(F.matmul(blocks, self.b_matrix), (len(rows), self.shape[1]))

    def get_apply_compression(self) -> chainer.Variable:
        inner = self._times_b(self.c_matrix)
        if self.d_matrix is None:
            return chainer.as_variable(inner)
        blocks = F.reshape(inner, (-1, self.d_matrix.shape[1], self.shape[1]))
        return F.reshape(F.matmul(self.d_matrix, blocks), self.shape)

    def _rows(self, ids: np.ndarray) -> chainer.Variable:
        if self.d_matrix is None:
            rows = gather_rows(self.c_matrix, ids)
        else:
            rows = weighted_rows(self.d_matrix, self.c_matrix, ids)
        return self._times_b(rows)

    def get_apply_convolution(
        self,
        x: chainer.Variable,
        kernel: tuple[int, ...],
        b: chainer.Variable | None = None,
        **options: object,
    ) -> chainer.Variable:
        inner = F.reshape(self._times_b(self.c_matrix), (-1, *kernel[1:]))
        if self.d_matrix is None:
            return F.convolution_2d(x, inner, b, **options)
        y = F.convolution_2d(x, inner, **options)
        size, inner_size = self.d_matrix.shape
        count = self.shape[0] // size
        images = F.reshape(y, (len(y) * count, inner_size, *y.shape[2:]))
        projected = F.convolution_2d(images, self.d_matrix[:, :, None, None])
        projected = F.reshape(projected, (len(y), count * size, *y.shape[2:]))
        return projected if b is None else F.bias(projected, b, axis=1)
