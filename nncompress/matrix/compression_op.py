"""Compression ops: a matrix on its way from itself to its compressed form."""

from collections.abc import Callable

import numpy as np
from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.errors import InputError
from nncompress.matrix.compressors.interface import MatrixCompressorInterface
from nncompress.matrix.hyperparameters import CompressionHParams
from nncompress.matrix.registry import INPUT_OUTPUT, registered

F = chainer.functions


class CompressionOpInterface(chainer.Chain):
    """What stands in the place of a matrix A ``(m, n)`` in the forward pass."""

    def get_apply_matmul(self, left_operand: chainer.Variable) -> chainer.Variable:
        """Returns the left operand ``(N, n)`` times the transpose of the matrix: ``(N, m)``."""
        raise NotImplementedError

    def get_apply_embedding_lookup(self, ids: np.ndarray) -> chainer.Variable:
        """Returns rows of the matrix, n longer than the shape of ``ids``."""
        raise NotImplementedError

    def get_apply_convolution(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        """Returns a convolution with the matrix, reshaped to ``kernel``."""
        raise NotImplementedError

    def get_apply_compression(self) -> chainer.Variable:
        """Returns the matrix, ``(m, n)``."""
        raise NotImplementedError

    def run_update_step(self, step_number: int) -> None:
        """Does what is to be done at a step of training."""
        raise NotImplementedError


class CompressionOp(CompressionOpInterface):
    """``alpha * A + (1 - alpha) * compressed(A)``, alpha falling from 1 to 0.

    Source: the compression op of Google's graph_compression library, whose names these are.

    Args:
        spec: Hyperparameters; see ``get_default_hparams``.
        a_matrix: A, a parameter ``(m, n)`` of float32 or float64, or of more dimensions, of which
            all but the first are taken together.
        compressor: What compresses A.
        scope: What logs and tables call it.

    Attributes:
        a_matrix: The parameter, until ``finalize``.
        factors: The link of the compressed matrix's factors.
        alpha: The share of A; like the next two kept in snapshots.
        last_alpha_update_step: The step of the last update; -1 before the first.
        num_updates: How many updates there were.
        relative_error: ``||A - compressed(A)|| / ||A||`` when A was factored; -1 before.
        uncompressed_size: Bytes of A.
        compressed_size: Bytes of the factors.
        method: What logs and tables call the method.
    """

    def __init__(
        self,
        spec: CompressionHParams,
        a_matrix: chainer.Parameter,
        compressor: MatrixCompressorInterface,
        scope: str = "default_scope",
    ) -> None:
        super().__init__()
        self.scope = scope
        self.shape = matrix_shape(a_matrix)
        self.method = registered(spec.compression_option).name
        self._spec, self._compressor = spec, compressor
        with self.init_scope():
            self.a_matrix = a_matrix
            self.factors = compressor.make_factors(self.shape, a_matrix.dtype)
        self.uncompressed_size = int(a_matrix.array.nbytes)
        self.compressed_size = self.factors.stored_bytes
        self.alpha, self.last_alpha_update_step, self.num_updates = 1.0, -1, 0
        self.relative_error = -1.0
        for name in STATE:
            self.register_persistent(name)

    @staticmethod
    def get_default_hparams() -> CompressionHParams:
        """Returns all hyperparameters with their defaults."""
        return CompressionHParams(
            name="model_compression",
            alpha_decrement_value=0.01,
            begin_compression_step=0,
            end_compression_step=-1,
            compression_frequency=10,
            compression_option=0,
            rank=100,
            update_option=0,
            use_tpu=False,
            block_size=1,
            pruning_fraction=0.0,
            num_codebooks=0,
            num_codewords=16,
            compress_input=True,
            input_compression_factor=1,
            input_block_size=32,
            compress_output=False,
            output_compression_factor=1,
            output_block_size=1,
        )

    @property
    def is_final(self) -> bool:
        """Whether A is gone."""
        return self.a_matrix is None

    def run_update_step(self, step_number: int) -> None:
        """Factors A on the first step that is due, and lowers alpha on each that is.

        A step is due if it is within ``begin_compression_step`` and ``end_compression_step`` and
        ``compression_frequency`` steps after the last one.

        Args:
            step_number: The step of training.
        """
        spec = self._spec
        end = spec.end_compression_step
        due = spec.begin_compression_step <= step_number and (end == -1 or step_number <= end)
        due = due and self.last_alpha_update_step + spec.compression_frequency <= step_number
        if self.is_final or not due:
            return
        if self.num_updates == 0:
            self._factor()
        self.num_updates += 1
        self.alpha = max(0.0, 1.0 - self.num_updates * spec.alpha_decrement_value)
        # Sums of decimal fractions end a little beside 0.
        self.alpha = 0.0 if self.alpha < 1e-9 else self.alpha
        self.last_alpha_update_step = int(step_number)

    def _factor(self) -> None:
        a = self.a_matrix.array.reshape(self.shape)
        self.factors.assign(self._compressor.static_matrix_compressor(a))
        with chainer.no_backprop_mode():
            difference = self.factors.matrix().array - a
        norm = float(self.xp.linalg.norm(a))
        self.relative_error = float(self.xp.linalg.norm(difference)) / norm if norm else 0.0
        logger.info(
            "%s: %d x %d, %s: %s bytes become %s, relative error %.4f",
            self.scope, *self.shape, self.method, f"{self.uncompressed_size:,}",
            f"{self.compressed_size:,}", self.relative_error,
        )  # fmt: skip

    def finalize(self) -> None:
        """Drops A, and what belongs to the way to its compressed form.

        Raises:
            InputError: Alpha is above 0.
        """
        if self.alpha > 0:
            raise InputError(
                f"alpha of {self.scope} is {self.alpha:g}; wanted 0, so train on until it is (and "
                "let end_compression_step leave time for it)"
            )
        self.drop_matrix()

    def drop_matrix(self) -> None:
        """Leaves the factors alone, whatever they hold: to load a final model into."""
        if not self.is_final:
            del self.a_matrix
            for name in STATE:
                value = getattr(self, name)
                delattr(self, name)
                setattr(self, name, value)
            self.a_matrix, self.alpha = None, 0.0

    def get_apply_compression(self):
        return self._mix(
            lambda: F.reshape(self.a_matrix, self.shape), lambda: self.factors.matrix()
        )

    def get_apply_matmul(self, left_operand):
        return self._mix(
            lambda: F.linear(left_operand, F.reshape(self.a_matrix, self.shape)),
            lambda: self.factors.matmul(left_operand),
        )

    def get_apply_embedding_lookup(self, ids):
        flat = ids.reshape(-1)
        rows = self._mix(
            lambda: gather_rows(F.reshape(self.a_matrix, self.shape), flat),
            lambda: self.factors.lookup(flat),
        )
        return F.reshape(rows, (*ids.shape, self.shape[1]))

    def get_apply_convolution(self, x, kernel, **options):
        return self._mix(
            lambda: F.convolution_2d(x, F.reshape(self.a_matrix, kernel), **options),
            lambda: self.factors.convolve(x, kernel, **options),
        )

    def _mix(self, plain: Callable, compressed: Callable) -> chainer.Variable:
        """Returns alpha times one and (1 - alpha) times the other; neither for nothing."""
        if self.alpha == 1.0:
            return plain()
        if self.alpha == 0.0:
            return compressed()
        return self.alpha * plain() + (1.0 - self.alpha) * compressed()


STATE = ("alpha", "last_alpha_update_step", "num_updates", "relative_error")


class InputOutputCompressionOp(CompressionOpInterface):
    """Block-wise learned projections of a matrix's input and output side; there is no alpha.

    The input's blocks of ``input_block_size`` go through one matrix B to 1/``input_compression_``
    ``factor`` of their size, then through C, and the blocks that come out through one matrix D to
    ``output_block_size``. A itself is gone from the start, and plays no part.

    Args:
        spec: Hyperparameters.
        a_matrix: A, a parameter ``(m, n)``, whose shape and type are taken.
        scope: What logs and tables call it.

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

    def get_apply_matmul(self, left_operand):
        x = self._blockwise(left_operand, getattr(self, "b_matrix", None))
        return self._blockwise(F.linear(x, self.c_matrix), getattr(self, "d_matrix", None))

    def get_apply_compression(self):
        identity = self.xp.eye(self.shape[1], dtype=self.c_matrix.dtype)
        return F.transpose(self.get_apply_matmul(identity))

    def get_apply_embedding_lookup(self, ids):
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

    def get_apply_convolution(self, x, kernel, **options):
        return F.convolution_2d(x, F.reshape(self.get_apply_compression(), kernel), **options)

    @staticmethod
    def _blockwise(x: chainer.Variable, matrix: chainer.Parameter | None) -> chainer.Variable:
        """Returns x ``(N, ...)`` with each block of columns multiplied by a matrix's transpose."""
        if matrix is None:
            return x
        blocks = F.reshape(x, (-1, matrix.shape[1]))
        return F.reshape(F.linear(blocks, matrix), (x.shape[0], -1))


def matrix_shape(parameter: chainer.Parameter) -> tuple[int, int]:
    """Returns the shape of a parameter as a matrix: its first dimension, and all others together.

    Raises:
        InputError: The parameter has no values yet, or less than two dimensions.
    """
    if parameter.array is None:
        raise InputError(
            f"the parameter {parameter.name!r} has no values yet; give its layer all sizes, or "
            "run the model once"
        )
    if parameter.ndim < 2:
        raise InputError(f"a parameter of shape {parameter.shape}; wanted two dimensions or more")
    if parameter.dtype not in (np.float32, np.float64):
        raise InputError(f"a parameter of type {parameter.dtype}; wanted float32 or float64")
    return parameter.shape[0], int(np.prod(parameter.shape[1:]))


def make_op(
    spec: CompressionHParams, a_matrix: chainer.Parameter, scope: str
) -> CompressionOpInterface:
    """Returns the op that a specification asks for."""
    if spec.compression_option == INPUT_OUTPUT:
        return InputOutputCompressionOp(spec, a_matrix, scope)
    compressor = registered(spec.compression_option).compressor(spec)
    return CompressionOp(spec, a_matrix, compressor, scope)
