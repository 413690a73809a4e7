"""A compression op with an alpha: a matrix on its way from itself to its compressed form."""

from collections.abc import Callable

import numpy as np
from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.errors import InputError
from nncompress.matrix.hyperparameters import CompressionHParams
from nncompress.matrix.methods.interface import MatrixCompressorInterface
from nncompress.matrix.methods.registry import registered
from nncompress.matrix.op_interface import CompressionOpInterface, matrix_shape
from nncompress.matrix.ramp import alpha_after, falls_on_call, falls_on_schedule, lowered_by

F = chainer.functions


class CompressionOp(CompressionOpInterface):
    """The mix ``alpha * A + (1 - alpha) * compressed(A)``, alpha falling from 1 to 0.

    Source: the compression op of Google's graph_compression library, whose names these are.

    Args:
        spec: Hyperparameters; see ``get_default_hparams``.
        a_matrix: A, a parameter ``(m, n)`` of float32 or float64; if it has more dimensions, all
            but the first are flattened into one.
        compressor: The compressor of A.
        scope: The matrix's name in logs and tables.

    Attributes:
        state_names: Names of the values that snapshots keep during training and a final model
            does not need.
        a_matrix: The parameter, until ``finalize``.
        factors: The link of the compressed matrix's factors.
        alpha: The share of A; kept in snapshots, like the next two.
        last_alpha_update_step: The step of the last update; -1 before the first.
        num_updates: Number of updates so far.
        relative_error: ``||A - compressed(A)|| / ||A||`` when A was factored; -1 before.
        uncompressed_size: Bytes of A.
        compressed_size: Bytes of the factors.
        method: The method's name in logs and tables.
    """

    state_names = ("alpha", "last_alpha_update_step", "num_updates", "relative_error")

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
        for name in CompressionOp.state_names:
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
            run_update_interval_check=1,
            pruning_fraction=0.0,
            begin_pruning_step=0,
            end_pruning_step=-1,
            pruning_frequency=10,
            initial_sparsity=0.0,
            target_sparsity=0.5,
            sparsity_function_begin_step=0,
            sparsity_function_end_step=100,
            sparsity_function_exponent=3.0,
            num_codebooks=0,
            num_codewords=16,
            compress_input=True,
            input_compression_factor=1,
            input_block_size=32,
            compress_output=False,
            output_compression_factor=1,
            output_block_size=1,
            block_method="loop",
            block_compression_factor=1,
            compression_factor=1,
            num_bases=1,
        )

    @property
    def is_final(self) -> bool:
        """Whether A is gone."""
        return self.a_matrix is None

    @property
    def is_plain(self) -> bool:
        """Whether the matrix is A itself."""
        return self.alpha == 1.0 and not self.is_final

    def run_scheduled_update(self, step_number: int) -> None:
        """Factors A on the first step that is due, and lowers alpha on every step that is due.

        A step is due if it lies between ``begin_compression_step`` and ``end_compression_step``
        and at least ``compression_frequency`` steps after the last one; with ``update_option`` 1,
        no step is due.

        Args:
            step_number: The training step.
        """
        by_extension, _ = lowered_by(self._spec)
        if by_extension and falls_on_schedule(
            self._spec, step_number, self.last_alpha_update_step
        ):
            self._update(step_number)

    def run_update_step(self, step_number: int) -> None:
        """Factors A on the first call that is due, and lowers alpha on every call that is due.

        With ``update_option`` 0, the same steps are due as in ``run_scheduled_update``. With 1 and
        2, every call from ``begin_compression_step`` until just before ``end_compression_step`` is
        due, whatever the frequency and even if a step is repeated.

        Args:
            step_number: The training step.
        """
        _, by_calls = lowered_by(self._spec)
        if not by_calls:
            self.run_scheduled_update(step_number)
        elif self.alpha > 0 and falls_on_call(self._spec, step_number):
            self._update(step_number)

    def _update(self, step_number: int) -> None:
        if self.is_final:
            return
        if self.num_updates == 0:
            try:
                self._factor()
            except InputError as error:
                raise InputError(
                    f"{self.scope} cannot be factored at step {step_number}: {error}"
                ) from None
            self._pass_on_update_rule()
            self._begin_counting()
        self.num_updates += 1
        self.alpha = alpha_after(self._spec, self.num_updates)
        self.last_alpha_update_step = int(step_number)

    def _factor(self) -> None:
        a = self.a_matrix.array.reshape(self.shape)
        with chainer.no_backprop_mode():
            self.factors.assign(self._compressor.static_matrix_compressor(self._plain().array))
            difference = self.factors.matrix().array - a
        norm = float(self.xp.linalg.norm(a))
        self.relative_error = float(self.xp.linalg.norm(difference)) / norm if norm else 0.0
        logger.info(
            "%s: %d x %d, %s: %s bytes become %s, relative error %.4f",
            self.scope, *self.shape, self.method, f"{self.uncompressed_size:,}",
            f"{self.compressed_size:,}", self.relative_error,
        )  # fmt: skip

    def _pass_on_update_rule(self) -> None:
        """Makes the factors train as A does: not at all, or with the settings made for A alone.

        Settings made for a factor are kept. An optimizer's hooks on A are not passed on, because
        what they do to A's values would mean something else for the factors.
        """
        rule = self.a_matrix.update_rule
        rules = [p.update_rule for p in self.factors.params() if p.update_rule is not None]
        if rule is None or not rules:
            return
        own = {name: value for name, value in vars(rule.hyperparam).items() if name != "_parent"}
        for other in rules:
            other.enabled = other.enabled and rule.enabled
            for name in own.keys() - vars(other.hyperparam).keys():
                setattr(other.hyperparam, name, own[name])
        if own or not rule.enabled:
            how = ", ".join(f"{name}={value}" for name, value in sorted(own.items()))
            logger.info(
                "%s: the factors are %s, like A", self.scope,
                f"trained with {how}" if rule.enabled else "not trained",
            )  # fmt: skip

    def _begin_counting(self) -> None:
        """Counts the factors' optimizer steps from now on.

        Chainer also counts the steps of parameters without a gradient. Adam would treat the
        factors' first moments as if they were as old as the training, and take steps several
        times too long.
        """
        for parameter in self.factors.params():
            if parameter.update_rule is not None:
                parameter.update_rule.t = 0

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Writes or reads the op, which may already be factored when it is read."""
        super().serialize(serializer)
        reads = not isinstance(serializer, chainer.Serializer)
        if reads and not self.is_final and self.num_updates:
            self._pass_on_update_rule()

    def finalize(self) -> None:
        if self.alpha > 0:
            raise InputError(
                f"{self.scope}: alpha is {self.alpha:g}; wanted 0: keep training with the "
                "extension all_update_op() or calls of run_update_step until it gets there (and "
                "set end_compression_step late enough)"
            )
        self.drop_matrix()

    def drop_matrix(self) -> None:
        if not self.is_final:
            if self.num_updates == 0:
                self._pass_on_update_rule()
            del self.a_matrix
            # Chainer stops saving a persistent value once its attribute has been deleted.
            for name in self.state_names:
                value = getattr(self, name)
                delattr(self, name)
                setattr(self, name, value)
            self.a_matrix, self.alpha = None, 0.0

    def _plain(self) -> chainer.Variable:
        """Returns A in the form used in products, ``(m, n)``."""
        return F.reshape(self.a_matrix, self.shape)

    def get_apply_compression(self) -> chainer.Variable:
        return self._mix(self._plain, self.factors.matrix)

    def _multiply(self, x: chainer.Variable, bias: chainer.Variable | None) -> chainer.Variable:
        return self._mix(
            lambda: F.linear(x, self._plain(), bias), lambda: self.factors.matmul(x, bias)
        )

    def _rows(self, ids: np.ndarray) -> chainer.Variable:
        return self._mix(lambda: gather_rows(self._plain(), ids), lambda: self.factors.lookup(ids))

    def get_apply_convolution(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options: object
    ) -> chainer.Variable:
        return self._mix(
            lambda: F.convolution_2d(x, F.reshape(self._plain(), kernel), **options),
            lambda: self.factors.convolve(x, kernel, **options),
        )

    def _mix(self, plain: Callable, compressed: Callable) -> chainer.Variable:
        """Returns alpha times one plus (1 - alpha) times the other; skips one whose share is 0."""
        if self.alpha == 1.0:
            return plain()
        if self.alpha == 0.0:
            return compressed()
        return self.alpha * plain() + (1.0 - self.alpha) * compressed()
