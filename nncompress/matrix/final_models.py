"""Ending compression: a model without its matrices, its file, and a table of what it became."""

import os

import numpy as np
from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.npz import NpzFile
from nncompress.matrix.compression_op import STATE
from nncompress.matrix.op_interface import CompressionOpInterface


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
            for name in ("a_matrix", *STATE):
                wanted.pop(f"{prefix}/{name}".lstrip("/"), None)
    with NpzFile(path, "a final model") as file:
        stored = {name: file.header(name).shape for name in file}
        for name in sorted({*stored, *wanted}):
            expected = np.shape(wanted[name]) if name in wanted else None
            if stored.get(name) != expected:
                raise InputError(
                    f"{path} has shape {stored.get(name)} for {name!r}, and the model {expected}; "
                    "wanted the file of a final model with the same hyperparameters"
                )
        arrays = {name: file[name] for name in wanted}
    for op in ops:
        op.drop_matrix()
    chainer.serializers.NpzDeserializer(arrays).load(model)


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
