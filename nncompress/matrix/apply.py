"""Applying compression to links and parameters, and updating what was made."""

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
        global_step: Returns the step of training, or is a step that does not change; by default
            it is the trainer's iteration.
    """

    def __init__(
        self, compression_spec: HParams, global_step: Callable[[], int] | int | None = None
    ) -> None:
        self._spec = checked(compression_spec)  # a copy, which later changes do not reach
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
        """Compresses a matrix: a parameter of two or more dimensions, or those of a link.

        Args:
            link_or_parameter: A link, which is changed in place, or a parameter. A matrix that is
                being compressed already is so under this link too: they are tied.
            scope: The matrix's name in logs and tables.
            spec: Hyperparameters for this one alone, or a string of those that differ.

        Returns:
            The link itself; for a parameter a link to put in its place, which returns the matrix
            when it is called. With option 0 the argument itself.

        Raises:
            InputError: There is no matrix, it has no values yet, or an optimizer has been set up
                for it already; or the sizes do not fit. The link is as it was then.
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
                    f"{matrix.scope} is tied to {known.scope}, which has its hyperparameters "
                    "already; wanted no others for it"
                )
        ops = [self.op_of(matrix.parameter, matrix.scope, spec) for matrix in matrices]
        for matrix, op in zip(matrices, ops, strict=True):
            self.install(matrix, op)
        return link_or_parameter

    def _compressed_parameter(
        self, parameter: chainer.Parameter, scope: str, spec: HParams
    ) -> CompressedParameter:
        """Returns the link in the place of a bare parameter."""
        if self._known(parameter) is not None:
            raise InputError(f"the parameter of {scope} is being compressed already")
        self.refuse_trained(parameter, scope)
        op = self.op_of(parameter, scope, spec)
        made = CompressedParameter(op, parameter.shape)
        made.to_device(parameter.device)
        self._take(parameter, op)
        return made

    def refuse_trained(self, parameter: chainer.Parameter | None, scope: str) -> None:
        """Refuses a parameter that belongs to an optimizer.

        Raises:
            InputError: It does, and is not one that is being compressed here.
        """
        if getattr(parameter, "update_rule", None) is None or self._known(parameter) is not None:
            return
        raise InputError(
            f"{scope} belongs to an optimizer already, which would not know the factors; "
            "compress a model before optimizer.setup"
        )

    def op_of(
        self, parameter: chainer.Parameter, scope: str, spec: HParams | None = None
    ) -> CompressionOpInterface:
        """Returns the op of a parameter: the one that it has, or a new one.

        Args:
            parameter: The parameter, which is not changed.
            scope: Its name in logs and tables.
            spec: Hyperparameters for this one alone.

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
        """Puts an op in the places of a matrix, and updates it from then on.

        Args:
            matrix: The matrix; each link that has it is changed in place.
            op: What ``op_of`` returned for it.
        """
        is_new = op not in self._ops
        for number, place in enumerate(matrix.distinct_places()):
            hold(place.link, place.name, op, elsewhere=number > 0 or not is_new)
            if place.stack is not None:
                read_weights_anew(place.stack)
        if is_new:
            self._take(matrix.parameter, op)

    def _take(self, parameter: chainer.Parameter, op: CompressionOpInterface) -> None:
        """Updates an op from now on, and says it if it saves nothing."""
        self._ops.append(op)
        self._parameters.append((weakref.ref(parameter), op))
        row = compressed_layer(op)
        if not row.is_smaller:
            logger.warning(
                "%s: %d x %d takes %s bytes with %s, and %s as it is: nothing is saved; change "
                "rank or whatever else sets the size, or leave this matrix out",
                row.layer, *row.shape, f"{row.compressed_size:,}", row.method,
                f"{row.uncompressed_size:,}",
            )  # fmt: skip

    def report(self) -> CompressionTable:
        """Returns a table of all matrices, as they are now; ``str`` prints it."""
        return compression_table(self._ops)

    def _known(self, parameter: chainer.Parameter) -> CompressionOpInterface | None:
        """Returns the op that was made of a parameter."""
        return next((op for known, op in self._parameters if known() is parameter), None)

    def _spec_of(self, spec: HParams | str) -> HParams:
        return checked(self._spec.copy().parse(spec) if isinstance(spec, str) else _hparams(spec))

    def run_update_step(self, step_number: int | None = None) -> None:
        """Updates all ops; see ``CompressionOp.run_update_step``.

        Args:
            step_number: The step of training; by default what ``global_step`` returns, or 1 with
                ``run_update_interval_check=0``.

        Raises:
            InputError: There is neither a step nor a ``global_step``.
        """
        if step_number is None:
            step_number = 1
            if self._spec.run_update_interval_check:
                if self._global_step is None:
                    raise InputError(
                        "no step was given, and there is no global_step to ask for it"
                    )
                step_number = self._step()
        check_step(step_number)
        for op in self._ops:
            op.run_update_step(step_number)

    def all_update_op(self) -> Callable[[chainer.training.Trainer], None]:
        """Returns a trainer extension that updates all ops after each iteration.

        It reports ``alpha``. With ``update_option=1`` it updates nothing. It refuses a trainer
        whose updater has models in other processes. In the trainer's snapshots are, by the
        extension, the ops that no optimizer has the parameters of.
        """
        if isinstance(self._global_step, numbers.Integral):
            logger.warning(
                "global_step is the number %d, which the trainer's iterations do not change: "
                "alpha falls once at most; give a function that returns the step, or none",
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
        """Serializes what is not in an optimizer's model, which a trainer serializes."""
        for number, op in enumerate(self._ops):
            if all(parameter.update_rule is None for parameter in op.params()):
                op.serialize(serializer[str(number)])

    def _refuse_workers(self, trainer: chainer.training.Trainer) -> None:
        kind = chainer.training.updaters.MultiprocessParallelUpdater
        if isinstance(trainer.updater, kind) and not all(op.is_final for op in self._ops):
            raise InputError(
                "the processes of a MultiprocessParallelUpdater would never learn of alpha and "
                "the factors; wanted a StandardUpdater, a ParallelUpdater or ChainerMN's optimizer"
            )

    def _step(self) -> int:
        """Returns what ``global_step`` tells.

        Raises:
            InputError: That is no integer.
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
        """Returns the op that was made last.

        Raises:
            InputError: There is none.
        """
        if not self._ops:
            raise InputError("no matrix has been compressed yet")
        return self._ops[-1]

    def get_operator_hparam(self, hparam: str) -> Value | None:
        """Returns the value of a hyperparameter; None if there is none of that name."""
        return self._spec.get(hparam)

    def get_spec(self) -> HParams:
        """Returns the hyperparameters."""
        return self._spec


def get_apply_compression(
    hparams: HParams | str, global_step: Callable[[], int] | int | None = None
) -> ApplyCompression:
    """Returns an object that applies compression as hyperparameters say.

    Args:
        hparams: Hyperparameters, or a string of them.
        global_step: Returns the step of training, or is a step that does not change; by default
            it is the trainer's iteration.

    Raises:
        InputError: A hyperparameter is unknown or does not fit.
    """
    return ApplyCompression(_hparams(hparams), global_step)


def _hparams(hparams: HParams | str) -> HParams:
    """Returns hyperparameters, which may be given as a string.

    Raises:
        InputError: They are neither, or one is unknown or does not fit.
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
    """The initializer of factors, which have no values of their own to begin with."""

    def __call__(self, array: np.ndarray) -> None:
        raise InputError(
            "the factors of a compressed matrix cannot be initialized; wanted a copy in mode "
            "'copy' or 'share', or one that is made before compression"
        )
