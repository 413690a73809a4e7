"""Ending compression: a model without its matrices, its file, and a table of what it became."""

import os
from collections.abc import Mapping

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.npz import NpzFile
from nncompress.matrix.op_interface import CompressionOpInterface
from nncompress.matrix.report import CompressionTable, compression_table


def finalize(model: chainer.Link) -> CompressionTable:
    """Drops the matrices of a model that have been compressed, and keeps their factors.

    The model computes what it computed before; saved with ``save_npz(..., compression=False)``, it
    takes the bytes of its factors.

    Args:
        model: Changed in place.

    Returns:
        The table of all matrices, as ``report`` returns it.

    Raises:
        InputError: There is nothing compressed in the model, or an alpha is above 0. The model is
            as it was then.
    """
    ops = _ops_of(model)
    for op in sorted(ops, key=lambda op: op.alpha, reverse=True):  # one that refuses comes first
        op.finalize()
    return compression_table(ops)


def load_finalized(path: str | os.PathLike, model: chainer.Link) -> None:
    """Reads a final model's file into a model that was made by the same ``compress_chain``.

    Args:
        path: The file that ``chainer.serializers.save_npz`` wrote of a model after ``finalize``.
        model: Changed in place: its matrices are dropped, and its factors read.

    Raises:
        InputError: There is nothing compressed in the model, or the file is missing, or of
            another model. The model is as it was then.
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
    """Returns in which way a file differs from what a final model wants, if it does.

    Args:
        name: A name in one of them or both.
        stored: Shapes in the file.
        wanted: Values of the model that a final one has.
        before: Values that it has, with those that a final one is without.
    """
    if name not in stored:
        return f"lacks {name!r}, which the model has"
    if name not in wanted:
        if name in before:
            return f"has {name!r}, so that it is of a model before finalize"
        return f"has {name!r}, which the model lacks"
    if stored[name] != np.shape(wanted[name]):
        return f"has shape {stored[name]} for {name!r}, and the model {np.shape(wanted[name])}"
    return None


def _ops_of(model: chainer.Link) -> list[CompressionOpInterface]:
    ops = {id(link): link for link in model.links() if isinstance(link, CompressionOpInterface)}
    ops = list(ops.values())
    if not ops:
        raise InputError("the model has no matrix that is being compressed")
    return ops
