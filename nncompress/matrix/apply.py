"""Applying compression to links, parameters and whole models, and ending it."""

import fnmatch
import os
from collections.abc import Callable, Iterator

from logzero import logger

from nncompress.chainer_compat import chainer
from nncompress.errors import InputError
from nncompress.matrix.compression_op import (
    CompressionOp,
    CompressionOpInterface,
    make_op,
    matrix_shape,
)
from nncompress.matrix.hyperparameters import HParams, Value, check
from nncompress.matrix.links import (
    CompressedParameter,
    can_be_compressed,
    compressed_link,
)
from nncompress.matrix.registry import NO_COMPRESSION, check_option


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
        self._spec = compression_spec
        self._global_step = global_step
        self._ops: list[CompressionOpInterface] = []
        self.uncompressed_size = self.compressed_size = 0

    def apply_compression(
        self, link_or_parameter: chainer.Link | chainer.Parameter, scope: str = "default_scope"
    ) -> chainer.Link | chainer.Parameter:
        """Makes a matrix one that is being compressed.

        Args:
            link_or_parameter: ``L.Linear``, ``L.Convolution2D``, ``L.EmbedID``, or a parameter.
            scope: What logs and tables call it.

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
        if parameter.update_rule is not None:
            raise InputError(
                f"{scope} belongs to an optimizer already, which would not know the factors; "
                "compress a model before optimizer.setup"
            )
        op = make_op(self._spec, parameter, scope)
        made = (
            CompressedParameter(op, parameter.shape)
            if is_parameter
            else compressed_link(op, link_or_parameter)
        )
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
    """Returns what applies compression as hyperparameters say.

    Args:
        hparams: Hyperparameters, or a string of them.
        global_step: Returns the step of training; by default the trainer's iteration.

    Raises:
        InputError: A hyperparameter is unknown or does not fit.
    """
    return ApplyCompression(_hparams(hparams), global_step)


def compress_chain(
    model: chainer.Chain, hparams: HParams | str, match: str = "*"
) -> ApplyCompression:
    """Makes all links of a model whose names match ones that are being compressed.

    Args:
        model: Changed in place. Links that are not Linear, Convolution2D or EmbedID stay.
        hparams: Hyperparameters, or a string of them.
        match: Pattern of names, such as ``"fc*"``; a link within others has a name like
            ``"block/fc1"``.

    Returns:
        What updates them: extend a trainer with its ``all_update_op()``.

    Raises:
        InputError: No link matches, or as for ``apply_compression``. The model is as it was then.
    """
    applied = get_apply_compression(hparams)
    chosen = [
        (parent, name, path)
        for parent, name, path in _children(model)
        if fnmatch.fnmatchcase(path, match) and can_be_compressed(_child(parent, name))
    ]
    if not chosen:
        raise InputError(f"no Linear, Convolution2D or EmbedID link has a name like {match!r}")
    made = [applied.apply_compression(_child(parent, name), path) for parent, name, path in chosen]
    for (parent, name, _), link in zip(chosen, made, strict=True):
        _replace(parent, name, link)
    return applied


def _hparams(hparams: HParams | str) -> HParams:
    if isinstance(hparams, str):
        return CompressionOp.get_default_hparams().parse(hparams)
    return hparams


def _children(link: chainer.Link, prefix: str = "") -> Iterator[tuple[chainer.Link, object, str]]:
    """Yields each link within another: what holds it, its name or number there, and its path."""
    if isinstance(link, (CompressionOpInterface,)):
        return
    if isinstance(link, chainer.Chain):
        names = [child.name for child in link.children()]
    elif isinstance(link, chainer.ChainList):
        names = list(range(len(link)))
    else:
        return
    for name in names:
        path = f"{prefix}{name}"
        yield link, name, path
        yield from _children(_child(link, name), f"{path}/")


def _child(parent: chainer.Link, name: str | int) -> chainer.Link:
    return parent[name]


def _replace(parent: chainer.Link, name: str | int, link: chainer.Link) -> None:
    if _child(parent, name) is link:
        return
    if isinstance(parent, chainer.ChainList):
        parent[name] = link
        return
    delattr(parent, name)
    with parent.init_scope():
        setattr(parent, name, link)


def finalize(model: chainer.Link) -> str:
    """Drops the matrices of a model that have been compressed, and keeps their factors.

    The model computes what it computed before; saved with ``save_npz(..., compression=False)``, it
    takes the bytes of its factors.

    Args:
        model: Changed in place.

    Returns:
        A table with the shape, method, bytes and relative error of each matrix.

    Raises:
        InputError: There is nothing compressed in the model, or an alpha is above 0. The model is
            as it was then.
    """
    ops = _ops_of(model)
    for op in ops:
        if op.alpha > 0:
            op.finalize()  # says what is wanted
    for op in ops:
        op.finalize()
    table = compression_table(ops)
    logger.info("Compressed:\n%s", table)
    return table


def load_finalized(path: str | os.PathLike, model: chainer.Link) -> None:
    """Reads a final model's file into a model that was made by the same ``compress_chain``.

    Args:
        path: What ``chainer.serializers.save_npz`` wrote of a model after ``finalize``.
        model: Changed in place: its matrices are dropped, and its factors read.

    Raises:
        InputError: There is nothing compressed in the model.
    """
    for op in _ops_of(model):
        op.drop_matrix()
    chainer.serializers.load_npz(os.fspath(path), model)


def compression_table(ops: list[CompressionOpInterface]) -> str:
    """Returns a table with a line for each op, and one for all."""
    rows = [("layer", "shape", "method", "bytes", "of", "ratio", "relative error")]
    for op in ops:
        error = f"{op.relative_error:.4f}" if op.relative_error >= 0 else "-"
        shape = " x ".join(map(str, op.shape))
        rows.append((op.scope, shape, op.method, *_sizes(op.compressed_size, op.uncompressed_size),
                     error))  # fmt: skip
    totals = (sum(op.compressed_size for op in ops), sum(op.uncompressed_size for op in ops))
    rows.append(("all", "", "", *_sizes(*totals), ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _sizes(compressed: int, uncompressed: int) -> tuple[str, str, str]:
    return f"{compressed:,}", f"{uncompressed:,}", f"{uncompressed / compressed:.2f}"


def _ops_of(model: chainer.Link) -> list[CompressionOpInterface]:
    ops = [link for link in model.links() if isinstance(link, CompressionOpInterface)]
    if not ops:
        raise InputError("the model has no matrix that is being compressed")
    return ops
