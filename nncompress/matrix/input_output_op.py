"""A compression op without an alpha: learned projections of a matrix's input and output side."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.errors import InputError
from nncompress.matrix.hyperparameters import CompressionHParams
from nncompress.matrix.op_interface import CompressionOpInterface, matrix_shape

F = chainer.functions


class InputOutputCompressionOp(CompressionOpInterface):
    """Learned, block-wise projections of a matrix's input and output side, without an alpha.

    The input's blocks of ``input_block_size`` go through one matrix B to 1/``input_compression_``
    ``factor`` of their size, then through C, and the blocks that come out through one matrix D to
    ``output_block_size``. A itself is gone from the start, and plays no part.

    Args:
        spec: Hyperparameters.
        a_matrix: A, a parameter ``(m, n)``, whose shape and type are taken.
        scope: The matrix's name in logs and tables.

    Raises:
        InputError: Block sizes or factors do not divide what they have to.
    """

    def __init__(
        self,
        spec: CompressionHParams,
        a_matrix: chainer.Parameter,
        scope: str = "default_scope",
    ) -> None:
        super().__init__()
        self.scope, self.method = scope, "input-output"
        self.shape = matrix_shape(a_matrix)
        self.alpha, self.relative_error = 0.0, -1.0
        out_size, in_size = self.shape
        inner_in = self._reduced("input", spec, in_size) if spec.compress_input else in_size
        inner_out = self._reduced("output", spec, out_size) if spec.compress_output else out_size
        random = np.random.default_rng(0)

        def xavier(rows: int, columns: int) -> chainer.Parameter:
            limit = np.sqrt(6.0 / (rows + columns))
            values = random.uniform(-limit, limit, (rows, columns))
            return chainer.Parameter(values.astype(a_matrix.dtype))

        with self.init_scope():
            if spec.compress_input:
                size = spec.input_block_size
                self.b_matrix = xavier(size // spec.input_compression_factor, size)
            self.c_matrix = xavier(inner_out, inner_in)
            if spec.compress_output:
                size = spec.output_block_size
                self.d_matrix = xavier(size, size // spec.output_compression_factor)
        self.uncompressed_size = int(a_matrix.array.nbytes)
        self.compressed_size = sum(int(parameter.array.nbytes) for parameter in self.params())

    @staticmethod
    def _reduced(side: str, spec: CompressionHParams, size: int) -> int:
        block = spec.get(f"{side}_block_size")
        factor = spec.get(f"{side}_compression_factor")
        if size % block or block % factor:
            raise InputError(
                f"{side}_block_size is {block} and {side}_compression_factor {factor}; wanted a "
                f"block size that divides {size}, and a factor that divides the block size"
            )
        return size // factor

    is_final = True

    def run_update_step(self, step_number: int) -> None:
        """Does nothing: there is no alpha."""

    def finalize(self) -> None:
        """Does nothing: A is gone already."""

    drop_matrix = finalize

    def get_apply_matmul(self, left_operand: chainer.Variable) -> chainer.Variable:
        x = self._blockwise(left_operand, getattr(self, "b_matrix", None))
        return self._blockwise(F.linear(x, self.c_matrix), getattr(self, "d_matrix", None))

    def get_apply_compression(self) -> chainer.Variable:
        identity = self.xp.eye(self.shape[1], dtype=self.c_matrix.dtype)
        return F.transpose(self.get_apply_matmul(identity))

    def get_apply_embedding_lookup(self, ids: np.ndarray) -> chainer.Variable:
        flat = ids.reshape(-1)
        d_matrix = getattr(self, "d_matrix", None)
        if d_matrix is None:
            rows = gather_rows(self.c_matrix, flat)
        else:  # a row of the matrix is a row of D times a block of rows of C
            size, inner = d_matrix.shape
            blocks = F.reshape(self.c_matrix, (-1, inner * self.c_matrix.shape[1]))
            block = F.reshape(gather_rows(blocks, flat // size), (len(flat), inner, -1))
            left = F.expand_dims(gather_rows(d_matrix, flat % size), 1)
            rows = F.reshape(F.matmul(left, block), (len(flat), -1))
        if getattr(self, "b_matrix", None) is not None:
            rows = self._blockwise(rows, F.transpose(self.b_matrix))
        return F.reshape(rows, (*ids.shape, self.shape[1]))

    def get_apply_convolution(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        return F.convolution_2d(x, F.reshape(self.get_apply_compression(), kernel), **options)

    @staticmethod
    def _blockwise(x: chainer.Variable, matrix: chainer.Parameter | None) -> chainer.Variable:
        """Returns x ``(N, ...)`` with each block of columns multiplied by a matrix's transpose."""
        if matrix is None:
            return x
        blocks = F.reshape(x, (-1, matrix.shape[1]))
        return F.reshape(F.linear(blocks, matrix), (x.shape[0], -1))
