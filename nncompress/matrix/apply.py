"""Applying compression to links, parameters and whole models, and ending it."""

import fnmatch
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from logzero import logger

from nncompress.autoencoder.snapshot import read_arrays
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.compression_op import (
    STATE,
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
        self._spec = compression_spec.copy()  # what becomes of the other plays no part
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
        op = make_op(self._spec, parameter, scope)
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
    known = [place for place in _places(model, set()) if can_be_compressed(place.link)]
    chosen = [place for place in known if fnmatch.fnmatchcase(place.path, match)]
    if not chosen:
        names = ", ".join(place.path for place in known) or "none at all"
        raise InputError(
            f"no Linear, Convolution2D or EmbedID link has a name like {match!r}; there are: "
            f"{names}"
        )
    # A link that stands in several places is one matrix, and stays so.
    made: dict[int, chainer.Link] = {}
    for place in chosen:
        if id(place.link) not in made:
            try:
                made[id(place.link)] = applied.apply_compression(place.link, place.path)
            except InputError as error:
                raise InputError(f"{place.path}: {error}") from None
    for place in known:
        if id(place.link) in made:
            _replace(place, made[id(place.link)])
    return applied


def _hparams(hparams: HParams | str) -> HParams:
    if isinstance(hparams, str):
        return CompressionOp.get_default_hparams().parse(hparams)
    return hparams


@dataclass(frozen=True)
class _Place:
    """Where a link stands: in what, by which name or number, and its path from the model."""

    parent: chainer.Chain | chainer.ChainList
    name: str | int
    path: str

    @property
    def link(self) -> chainer.Link:
        return self.parent[self.name]


def _places(link: chainer.Link, seen: set[int], prefix: str = "") -> Iterator[_Place]:
    """Yields the places of all links within another; what stands in two places is entered once."""
    if isinstance(link, CompressionOpInterface) or id(link) in seen:
        return
    seen.add(id(link))
    if isinstance(link, chainer.Chain):
        names = sorted(link._children)  # a child's own name is that of its last place
    elif isinstance(link, chainer.ChainList):
        names = range(len(link))
    else:
        return
    for name in names:
        place = _Place(link, name, f"{prefix}{name}")
        yield place
        yield from _places(place.link, seen, f"{place.path}/")


def _replace(place: _Place, link: chainer.Link) -> None:
    if place.link is link:  # with option 0
        return
    if isinstance(place.parent, chainer.ChainList):
        place.parent[place.name] = link
        return
    delattr(place.parent, place.name)
    with place.parent.init_scope():
        setattr(place.parent, place.name, link)


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
        InputError: There is nothing compressed in the model, or the file is missing, or of
            another model. The model is as it was then.
    """
    ops = _ops_of(model)
    stored = read_arrays(path)
    final = chainer.serializers.DictionarySerializer()
    final.save(model)
    wanted = dict(final.target)
    for prefix, link in model.namedlinks():
        if link in ops:
            for name in ("a_matrix", *STATE):
                wanted.pop(f"{prefix}/{name}".lstrip("/"), None)
    for name in sorted({*stored, *wanted}):
        seen, expected = (
            np.shape(arrays[name]) if name in arrays else None for arrays in (stored, wanted)
        )
        if seen != expected:
            raise InputError(
                f"{path} has shape {seen} for {name!r}, and the model {expected}; wanted the file "
                "of a final model with the same hyperparameters"
            )
    for op in ops:
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
    ops = {id(link): link for link in model.links() if isinstance(link, CompressionOpInterface)}
    ops = list(ops.values())
    if not ops:
        raise InputError("the model has no matrix that is being compressed")
    return ops
