"""Ending compression: dropping a model's matrices, loading its file, and a summary table."""

import os
from collections.abc import Mapping

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.npz import NpzFile
from nncompress.matrix.op_interface import CompressionOpInterface
from nncompress.matrix.report import CompressionTable, compression_table


def finalize(model: chainer.Link) -> CompressionTable:
    """Drops the compressed matrices of a model and keeps their factors.

    The model computes the same as before; saved with ``save_npz(..., compression=False)``, it
    takes only the bytes of its factors.

    Args:
        model: Changed in place.

    Returns:
        The table of all matrices, as ``report`` returns it.

    Raises:
        InputError: Nothing in the model is compressed, or an alpha is above 0. The model is left
            unchanged.
    """
    ops = _ops_of(model)
    for op in sorted(ops, key=lambda op: op.alpha, reverse=True):  # any that refuses comes first
        op.finalize()
    return compression_table(ops)


def load_finalized(path: str | os.PathLike, model: chainer.Link) -> None:
    """Reads a final model's file into a model that was made by the same ``compress_chain``.

    Args:
        path: The file written by ``chainer.serializers.save_npz`` after ``finalize``.
        model: Changed in place: its matrices are dropped, and its factors are read.

    Raises:
        InputError: Nothing in the model is compressed, or the file is missing or belongs to
            another model. The model is left unchanged.
    """
    ops = _ops_of(model)
    final = chainer.serializers.DictionarySerializer()
    final.save(model)
    wanted = dict(final.target)
    for prefix, link in model.namedlinks():
        if link in ops:
            for name in ("a_matrix", *getattr(link, "state_names", ())):
                wanted.pop(f"{prefix}/{name}".lstrip("/"), None)
    with NpzFile(path, "a final model") as file:
        stored = {name: file.header(name).shape for name in file}
        for name in sorted({*stored, *wanted}):
            difference = _difference(name, stored, wanted, final.target)
            if difference is not None:
                raise InputError(
                    f"{path} {difference}; wanted the file of a final model with the same "
                    "hyperparameters"
                )
        arrays = {name: file[name] for name in wanted}
    for op in ops:
        op.drop_matrix()
    chainer.serializers.NpzDeserializer(arrays).load(model)


def _difference(name: str, stored: Mapping, wanted: Mapping, before: Mapping) -> str | None:
    """Describes the difference between a file and what a final model needs; None if there is none.

    Args:
        name: A name in either or both.
        stored: Shapes in the file.
        wanted: Values of the model that a final model keeps.
        before: All values of the model, including those that a final model drops.
    """
    if name not in stored:
        return f"lacks {name!r}, which the model has"
    if name not in wanted:
        if name in before:
            return f"has {name!r}, so it was saved before finalize"
        return f"has {name!r}, which the model lacks"
    if stored[name] != np.shape(wanted[name]):
        return f"has shape {stored[name]} for {name!r}, but the model {np.shape(wanted[name])}"
    return None


def _ops_of(model: chainer.Link) -> list[CompressionOpInterface]:
    ops = {id(link): link for link in model.links() if isinstance(link, CompressionOpInterface)}
    ops = list(ops.values())
    if not ops:
        raise InputError("the model has no matrix that is being compressed")
    return ops
