"""Applying compression to links and parameters, and updating the ops during training."""

import numbers
import weakref
from collections.abc import Callable

import numpy as np
from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.compression_op import CompressionOp
from nncompress.matrix.hyperparameters import HParams, Value
from nncompress.matrix.link_classes import hold, read_weights_anew
from nncompress.matrix.links import CompressedParameter
from nncompress.matrix.making_ops import make_op
from nncompress.matrix.matrices import Matrix, own_matrices
from nncompress.matrix.op_interface import CompressionOpInterface
from nncompress.matrix.options import CompressionOptions
from nncompress.matrix.report import CompressionTable, compressed_layer, compression_table
from nncompress.matrix.specification import check_step, checked, checked_step


class ApplyCompression:
    """Applies a specification to matrices, and updates them together.

    Args:
        compression_spec: Hyperparameters.
        global_step: A function that returns the training step, or a fixed step; by default, the
            trainer's iteration.
    """

    def __init__(
        self, compression_spec: HParams, global_step: Callable[[], int] | int | None = None
    ) -> None:
        self._spec = checked(compression_spec)  # a copy, so later changes have no effect
        self._global_step = checked_step(global_step)
        self._ops: list[CompressionOpInterface] = []
        self._parameters: list[tuple[weakref.ref, CompressionOpInterface]] = []

    @property
    def uncompressed_size(self) -> int:
        """Bytes of all matrices."""
        return self.report().uncompressed_size

    @property
    def compressed_size(self) -> int:
        """Bytes of all their factors."""
        return self.report().compressed_size

    def apply_compression(
        self,
        link_or_parameter: chainer.Link | chainer.Parameter,
        scope: str = "default_scope",
        spec: HParams | str | None = None,
    ) -> chainer.Link | chainer.Parameter:
        """Compresses a parameter of two or more dimensions, or all such parameters of a link.

        Args:
            link_or_parameter: A link, which is changed in place, or a parameter. A matrix that is
                already being compressed elsewhere stays tied: both links share one op.
            scope: The matrix's name in logs and tables.
            spec: Hyperparameters for this matrix alone, or a string of those that differ.

        Returns:
            The link itself; for a parameter, a link to put in its place, which returns the matrix
            when called. With option 0, the argument itself.

        Raises:
            InputError: There is no matrix, it has no values yet, an optimizer has already been
                set up for it, or the sizes do not fit. The link is left unchanged.
        """
        is_common = spec is None
        spec = self._spec if is_common else self._spec_of(spec)
        if not isinstance(link_or_parameter, chainer.Link | chainer.Parameter):
            raise InputError(
                f"{scope} is of type {type(link_or_parameter).__name__}; wanted a chainer.Link or "
                "a chainer.Parameter"
            )
        if spec.compression_option == CompressionOptions.NO_MATRIX_COMPRESSION:
            return link_or_parameter
        if isinstance(link_or_parameter, chainer.Parameter):
            return self._compressed_parameter(link_or_parameter, scope, spec)
        matrices = own_matrices(link_or_parameter, scope)
        for matrix in matrices:
            self.refuse_trained(matrix.parameter, matrix.scope)
            if matrix.obstacle is not None:
                raise InputError(f"{matrix.scope}: {matrix.obstacle}")
            known = self._known(matrix.parameter)
            if known is not None and not is_common:
                raise InputError(
                    f"{matrix.scope} is tied to {known.scope}, which already has hyperparameters; "
                    "leave out spec for it"
                )
        ops = [self.op_of(matrix.parameter, matrix.scope, spec) for matrix in matrices]
        for matrix, op in zip(matrices, ops, strict=True):
            self.install(matrix, op)
        return link_or_parameter

    def _compressed_parameter(
        self, parameter: chainer.Parameter, scope: str, spec: HParams
    ) -> CompressedParameter:
        """Returns the link that replaces a bare parameter."""
        if self._known(parameter) is not None:
            raise InputError(f"the parameter of {scope} is already being compressed")
        self.refuse_trained(parameter, scope)
        op = self.op_of(parameter, scope, spec)
        made = CompressedParameter(op, parameter.shape)
        made.to_device(parameter.device)
        self._take(parameter, op)
        return made

    def refuse_trained(self, parameter: chainer.Parameter | None, scope: str) -> None:
        """Refuses a parameter that belongs to an optimizer.

        Raises:
            InputError: It does, and it is not already being compressed here.
        """
        if getattr(parameter, "update_rule", None) is None or self._known(parameter) is not None:
            return
        raise InputError(
            f"{scope} already belongs to an optimizer, which would not know about the factors; "
            "compress a model before calling optimizer.setup"
        )

    def op_of(
        self, parameter: chainer.Parameter, scope: str, spec: HParams | None = None
    ) -> CompressionOpInterface:
        """Returns a parameter's op: the one it already has, or a new one.

        Args:
            parameter: The parameter, which is not changed.
            scope: Its name in logs and tables.
            spec: Hyperparameters for this parameter alone.

        Raises:
            InputError: The sizes do not fit.
        """
        known = self._known(parameter)
        if known is not None:
            return known
        name = parameter.name
        try:
            op = make_op(self._spec if spec is None else spec, parameter, scope)
        finally:
            parameter.name = name  # the op would give it another
        for inner in op.params():
            if inner is not parameter:
                inner.initializer = _MadeFromMatrix()
        return op.to_device(parameter.device)

    def install(self, matrix: Matrix, op: CompressionOpInterface) -> None:
        """Puts an op everywhere a matrix is used, and updates it from then on.

        Args:
            matrix: The matrix; each link that has it is changed in place.
            op: The op that ``op_of`` returned for it.
        """
        is_new = op not in self._ops
        for number, place in enumerate(matrix.distinct_places()):
            hold(place.link, place.name, op, elsewhere=number > 0 or not is_new)
            if place.stack is not None:
                read_weights_anew(place.stack)
        if is_new:
            self._take(matrix.parameter, op)

    def _take(self, parameter: chainer.Parameter, op: CompressionOpInterface) -> None:
        """Updates an op from now on, and warns if it saves nothing."""
        self._ops.append(op)
        self._parameters.append((weakref.ref(parameter), op))
        row = compressed_layer(op)
        if not row.is_smaller:
            logger.warning(
                "%s: %d x %d takes %s bytes with %s, but %s uncompressed: nothing is saved; "
                "change rank or whatever else sets the size, or leave this matrix out",
                row.layer, *row.shape, f"{row.compressed_size:,}", row.method,
                f"{row.uncompressed_size:,}",
            )  # fmt: skip

    def report(self) -> CompressionTable:
        """Returns a table of all matrices in their current state; ``str`` formats it."""
        return compression_table(self._ops)

    def _known(self, parameter: chainer.Parameter) -> CompressionOpInterface | None:
        """Returns the op that was made of a parameter."""
        return next((op for known, op in self._parameters if known() is parameter), None)

    def _spec_of(self, spec: HParams | str) -> HParams:
        return checked(self._spec.copy().parse(spec) if isinstance(spec, str) else _hparams(spec))

    def run_update_step(self, step_number: int | None = None) -> None:
        """Updates all ops; see ``CompressionOp.run_update_step``.

        Args:
            step_number: The training step; by default the value of ``global_step``, or 1 with
                ``run_update_interval_check=0``.

        Raises:
            InputError: There is neither a step nor a ``global_step``.
        """
        if step_number is None:
            step_number = 1
            if self._spec.run_update_interval_check:
                if self._global_step is None:
                    raise InputError(
                        "no step was given, and there is no global_step to take it from"
                    )
                step_number = self._step()
        check_step(step_number)
        for op in self._ops:
            op.run_update_step(step_number)

    def all_update_op(self) -> Callable[[chainer.training.Trainer], None]:
        """Returns a trainer extension that updates all ops after each iteration.

        It reports ``alpha``. With ``update_option=1`` it updates nothing. It refuses a trainer
        whose updater has models in other processes. Through the extension, the trainer's
        snapshots include ops whose parameters belong to no optimizer.
        """
        if isinstance(self._global_step, numbers.Integral):
            logger.warning(
                "global_step is the fixed number %d, which does not follow the trainer's "
                "iterations: alpha falls at most once; pass a function that returns the step, or "
                "leave global_step out",
                self._global_step,
            )

        @chainer.training.make_extension(
            trigger=(1, "iteration"),
            default_name="compression",
            priority=chainer.training.PRIORITY_WRITER,
            initializer=self._refuse_workers,
        )
        def update(trainer: chainer.training.Trainer) -> None:
            step = trainer.updater.iteration if self._global_step is None else self._step()
            for op in self._ops:
                op.run_scheduled_update(step)
            chainer.report({"alpha": self.alpha})

        update.serialize = self._serialize_untrained
        return update

    def _serialize_untrained(self, serializer: chainer.AbstractSerializer) -> None:
        """Serializes the ops that are not in an optimizer's model, which a trainer serializes."""
        for number, op in enumerate(self._ops):
            if all(parameter.update_rule is None for parameter in op.params()):
                op.serialize(serializer[str(number)])

    def _refuse_workers(self, trainer: chainer.training.Trainer) -> None:
        kind = chainer.training.updaters.MultiprocessParallelUpdater
        if isinstance(trainer.updater, kind) and not all(op.is_final for op in self._ops):
            raise InputError(
                "the processes of a MultiprocessParallelUpdater would never see alpha and the "
                "factors; use a StandardUpdater, a ParallelUpdater or ChainerMN's optimizer"
            )

    def _step(self) -> int:
        """Returns the current value of ``global_step``.

        Raises:
            InputError: It is not an integer.
        """
        step = self._global_step() if callable(self._global_step) else self._global_step
        check_step(step)
        return step

    @property
    def alpha(self) -> float:
        """The largest alpha of all ops; 0 without any."""
        return max((op.alpha for op in self._ops), default=0.0)

    def get_compression_ops(self) -> list[CompressionOpInterface]:
        """Returns the ops, in the order in which they were made."""
        return list(self._ops)

    def get_last_compression_op(self) -> CompressionOpInterface:
        """Returns the most recent op.

        Raises:
            InputError: There is no op yet.
        """
        if not self._ops:
            raise InputError("no matrix has been compressed yet")
        return self._ops[-1]

    def get_operator_hparam(self, hparam: str) -> Value | None:
        """Returns the value of a hyperparameter; None if the name is unknown."""
        return self._spec.get(hparam)

    def get_spec(self) -> HParams:
        """Returns the hyperparameters."""
        return self._spec


def get_apply_compression(
    hparams: HParams | str, global_step: Callable[[], int] | int | None = None
) -> ApplyCompression:
    """Returns an object that applies compression according to hyperparameters.

    Args:
        hparams: Hyperparameters, or a string of them.
        global_step: A function that returns the training step, or a fixed step; by default, the
            trainer's iteration.

    Raises:
        InputError: A hyperparameter is unknown or invalid.
    """
    return ApplyCompression(_hparams(hparams), global_step)


def _hparams(hparams: HParams | str) -> HParams:
    """Returns hyperparameters, parsing them if they are given as a string.

    Raises:
        InputError: They are neither hyperparameters nor a string, or one is unknown or invalid.
    """
    if isinstance(hparams, str):
        return CompressionOp.get_default_hparams().parse(hparams)
    if not isinstance(hparams, HParams):
        raise InputError(
            f"the hyperparameters are of type {type(hparams).__name__}; wanted a string of them, "
            "or CompressionOp.get_default_hparams(), whose override_from_dict takes a dictionary"
        )
    return hparams


class _MadeFromMatrix(chainer.Initializer):
    """The initializer of factors, which get their values from the matrix."""

    def __call__(self, array: np.ndarray) -> None:
        raise InputError(
            "the factors of a compressed matrix cannot be initialized; copy the link in mode "
            "'copy' or 'share', or before compression"
        )
