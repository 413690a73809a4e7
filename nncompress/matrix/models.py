"""Applying compression to the matrices of a whole model."""

from collections.abc import Iterable, Sequence

from logzero import logger

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.apply import ApplyCompression, get_apply_compression
from nncompress.matrix.hyperparameters import HParams
from nncompress.matrix.matrices import Matrix, matrices_of
from nncompress.matrix.op_interface import CompressionOpInterface
from nncompress.matrix.options import CompressionOptions


def compress_chain(
    model: chainer.Link, hparams: HParams | str, match: str | Sequence[str] = "*"
) -> ApplyCompression:
    """Compresses all matrices of a model whose names match.

    A matrix is a parameter of two or more dimensions. Links are changed in place. Matrices that
    cannot be compressed are skipped, and the log says why; if a pattern without ``*``, ``?`` or
    ``[`` names one or the link that contains it, it is an error instead.

    Args:
        model: Changed in place.
        hparams: Hyperparameters, or a string of them.
        match: A name pattern, or several of them. A matrix has a name such as ``"block/fc1/W"``
            or ``"rnn/0/w0"``; a pattern that matches the name of a link, such as ``"block"`` or
            ``"block/fc*"``, selects all matrices inside it.

    Returns:
        The object that updates them: extend a trainer with its ``all_update_op()``.

    Raises:
        InputError: A pattern matches nothing that can be compressed, a matrix named explicitly
            cannot be, or an optimizer has already been set up for one. The model is left
            unchanged.

    Examples:
        >>> model = chainer.Sequential(chainer.links.Linear(64, 32), chainer.links.Linear(32, 8))
        >>> applied = compress_chain(model, "compression_option=1,rank=400", match="0")
        >>> [row.layer for row in applied.report().rows]
        ['0']
    """
    if not isinstance(model, chainer.Link):
        raise InputError(f"the model is of type {type(model).__name__}; wanted a chainer.Link")
    applied = get_apply_compression(hparams)
    patterns = (match,)
    if isinstance(match, Iterable) and not isinstance(match, str):
        patterns = tuple(match)
    if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise InputError(f"match is {match!r}; wanted a name pattern, or several of them")
    matrices = matrices_of(model)
    chosen = [m for m in matrices if any(m.answers_to(pattern) for pattern in patterns)]
    for matrix in chosen:
        if matrix.obstacle is None:
            applied.refuse_trained(matrix.parameter, matrix.scope)
    ops: dict[int, CompressionOpInterface] = {}
    nothing = applied.get_spec().compression_option == CompressionOptions.NO_MATRIX_COMPRESSION
    for matrix in chosen:
        if matrix.obstacle is None and not nothing:
            try:
                ops[id(matrix)] = applied.op_of(matrix.parameter, matrix.scope)
            except InputError as error:
                matrix.obstacle = str(error)
    for pattern in patterns:
        _check_pattern(pattern, matrices)
    for matrix in chosen:
        if id(matrix) in ops:
            applied.install(matrix, ops[id(matrix)])
    if not nothing:
        _say_what_is_passed_over([m for m in chosen if m.obstacle is not None])
    return applied


def _check_pattern(pattern: str, matrices: list[Matrix]) -> None:
    """Refuses a pattern that matches nothing, or names something that cannot be compressed."""
    found = [matrix for matrix in matrices if matrix.answers_to(pattern)]
    if not found:
        names = ", ".join(m.scope for m in matrices if m.obstacle is None) or "none"
        raise InputError(f"no matrix matches {pattern!r}; the matrices are: {names}")
    exact = not any(character in pattern for character in "*?[")
    for matrix in found:
        wanted = matrix.is_matrix or matrix.is_named(pattern)
        if matrix.obstacle is not None and exact and wanted:
            raise InputError(f"{matrix.scope}: {matrix.obstacle}")
    if all(matrix.obstacle is not None for matrix in found):
        reasons = "; ".join(f"{matrix.scope}: {matrix.obstacle}" for matrix in found)
        raise InputError(f"nothing that {pattern!r} matches can be compressed: {reasons}")


def _say_what_is_passed_over(matrices: list[Matrix]) -> None:
    """Logs a line for each reason, with the names of the matrices it applies to."""
    names: dict[str, list[str]] = {}
    for matrix in matrices:
        names.setdefault(str(matrix.obstacle), []).append(matrix.scope)
    for reason, scopes in names.items():
        logger.info("skipped: %s: %s", ", ".join(scopes), reason)
