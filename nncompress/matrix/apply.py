"""Applying compression to links and parameters, and updating what was made."""

from collections.abc import Callable

from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.hyperparameters import HParams, Value, check
from nncompress.matrix.input_output_op import InputOutputCompressionOp
from nncompress.matrix.links import CompressedParameter, can_be_compressed, compressed_link
from nncompress.matrix.methods.registry import (
    INPUT_OUTPUT,
    NO_COMPRESSION,
    check_option,
    registered,
)
from nncompress.matrix.op_interface import CompressionOpInterface, matrix_shape


class ApplyCompression:
    """Applies one specification to many matrices, and updates them together.

    Args:
        compression_spec: Hyperparameters.
        global_step: Returns the step of training; by default the trainer's iteration.

    Attributes:
        uncompressed_size: Bytes of all matrices.
        compressed_size: Bytes of all their factors.
    """

    def __init__(
        self, compression_spec: HParams, global_step: Callable[[], int] | None = None
    ) -> None:
        check(compression_spec.values())
        check_option(compression_spec.compression_option)
        if compression_spec.use_tpu:
            logger.warning("use_tpu has no effect: there is no TPU that Chainer runs on")
        self._spec = compression_spec.copy()  # what becomes of the other plays no part
        self._global_step = global_step
        self._ops: list[CompressionOpInterface] = []
        self.uncompressed_size = self.compressed_size = 0

    def apply_compression(
        self, link_or_parameter: chainer.Link | chainer.Parameter, scope: str = "default_scope"
    ) -> chainer.Link | chainer.Parameter:
        """Replaces a matrix by one that is being compressed.

        Args:
            link_or_parameter: ``L.Linear``, ``L.Convolution2D``, ``L.EmbedID``, or a parameter.
            scope: The matrix's name in logs and tables.

        Returns:
            A link to put in its place; for a parameter one that returns the matrix when it is
            called. With option 0 the argument itself.

        Raises:
            InputError: There is no such link, its weights have no values yet, or an optimizer
                has been set up for them already; or the sizes do not fit.
        """
        if self._spec.compression_option == NO_COMPRESSION:
            return link_or_parameter
        is_parameter = isinstance(link_or_parameter, chainer.Parameter)
        if not is_parameter and not can_be_compressed(link_or_parameter):
            compressed_link(None, link_or_parameter)  # says what is wanted
        parameter = link_or_parameter if is_parameter else link_or_parameter.W
        matrix_shape(parameter)
        if any(getattr(op, "a_matrix", None) is parameter for op in self._ops):
            raise InputError(
                f"the matrix of {scope} is being compressed already, under another link; wanted "
                "one link for each matrix"
            )
        if parameter.update_rule is not None:
            raise InputError(
                f"{scope} belongs to an optimizer already, which would not know the factors; "
                "compress a model before optimizer.setup"
            )
        op = _make_op(self._spec, parameter, scope)
        made = (
            CompressedParameter(op, parameter.shape)
            if is_parameter
            else compressed_link(op, link_or_parameter)
        )
        made.to_device(parameter.device)
        self._ops.append(op)
        self.uncompressed_size += op.uncompressed_size
        self.compressed_size += op.compressed_size
        return made

    def run_update_step(self, step_number: int | None = None) -> None:
        """Updates all ops; see ``CompressionOp.run_update_step``.

        Args:
            step_number: The step of training; by default what ``global_step`` returns.
        """
        if step_number is None:
            if self._global_step is None:
                raise InputError("no step was given, and there is no global_step to ask for it")
            step_number = self._global_step()
        for op in self._ops:
            op.run_update_step(step_number)

    def all_update_op(self) -> Callable[[chainer.training.Trainer], None]:
        """Returns a trainer extension that updates all ops after each iteration.

        It reports ``alpha``. With ``update_option=1`` it updates nothing.
        """

        @chainer.training.make_extension(
            trigger=(1, "iteration"),
            default_name="compression",
            priority=chainer.training.PRIORITY_WRITER,
        )
        def update(trainer: chainer.training.Trainer) -> None:
            if self._spec.update_option == 0:
                step = trainer.updater.iteration
                self.run_update_step(step if self._global_step is None else self._global_step())
            chainer.report({"alpha": self.alpha})

        return update

    @property
    def alpha(self) -> float:
        """The largest alpha of all ops; 0 without any."""
        return max((op.alpha for op in self._ops), default=0.0)

    def get_compression_ops(self) -> list[CompressionOpInterface]:
        """Returns the ops, in the order in which they were made."""
        return list(self._ops)

    def get_last_compression_op(self) -> CompressionOpInterface:
        """Returns the op that was made last."""
        return self._ops[-1]

    def get_operator_hparam(self, hparam: str) -> Value | None:
        """Returns the value of a hyperparameter; None if there is none of that name."""
        return self._spec.get(hparam)

    def get_spec(self) -> HParams:
        """Returns the hyperparameters."""
        return self._spec


def get_apply_compression(
    hparams: HParams | str, global_step: Callable[[], int] | None = None
) -> ApplyCompression:
    """Returns an object that applies compression as hyperparameters say.

    Args:
        hparams: Hyperparameters, or a string of them.
        global_step: Returns the step of training; by default the trainer's iteration.

    Raises:
        InputError: A hyperparameter is unknown or does not fit.
    """
    return ApplyCompression(_hparams(hparams), global_step)


def _hparams(hparams: HParams | str) -> HParams:
    if isinstance(hparams, str):
        return CompressionOp.get_default_hparams().parse(hparams)
    return hparams


def _make_op(spec: HParams, a_matrix: chainer.Parameter, scope: str) -> CompressionOpInterface:
    """Returns the op that a specification asks for."""
    if spec.compression_option == INPUT_OUTPUT:
        return InputOutputCompressionOp(spec, a_matrix, scope)
    compressor = registered(spec.compression_option).compressor(spec)
    return CompressionOp(spec, a_matrix, compressor, scope)
