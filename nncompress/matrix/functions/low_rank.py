"""Products with a matrix B C, which is never formed, and lookups of its rows."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows, sum_by_number
from nncompress.matrix.functions.gradients import FusedFunction, is_training

F = chainer.functions


class _Multiply(FusedFunction):
    """The function ``x, B, C, b -> x C' B' + b``."""

    def forward(self, inputs):
        x, b_matrix, c_matrix, *bias = inputs
        inner = x @ c_matrix.T
        out = inner @ b_matrix.T
        if bias:
            out += bias[0]
        if is_training():
            self.retain_inputs((0, 1, 2))
            self._inner = inner
        return (out,)

    def _gradients(self, indexes, gradient, x, b_matrix, c_matrix):
        of_inner = gradient @ b_matrix
        return [
            of_inner @ c_matrix if 0 in indexes else None,
            gradient.T @ self._inner if 1 in indexes else None,
            of_inner.T @ x if 2 in indexes else None,
            gradient.sum(axis=0) if 3 in indexes else None,
        ]

    def _by_chainer(self, x, b_matrix, c_matrix):
        return F.linear(F.linear(x, c_matrix), b_matrix)


def multiply(
    x: chainer.Variable,
    b_matrix: chainer.Variable,
    c_matrix: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns x ``(N, n)`` times the transpose of B C: ``(N, m)``.

    Args:
        x: The left operand.
        b_matrix: B ``(m, k)``.
        c_matrix: C ``(k, n)``.
        bias: ``(m,)``, added to each row of the result; None for none.
    """
    inputs = (x, b_matrix, c_matrix) if bias is None else (x, b_matrix, c_matrix, bias)
    return _Multiply().apply(inputs)[0]


class _LookUp(FusedFunction):
    """The function ``B, C -> (B C)[ids]``; the row numbers have no gradient."""

    def __init__(self, ids: np.ndarray) -> None:
        super().__init__()
        self._ids = ids

    def forward(self, inputs):
        b_matrix, c_matrix = inputs
        chosen = b_matrix[self._ids]
        if is_training():
            self.retain_inputs((0, 1))
            self._chosen = chosen
        return (chosen @ c_matrix,)

    def _gradients(self, indexes, gradient, b_matrix, c_matrix):
        gradients = [None, None]
        if 0 in indexes:
            gradients[0] = sum_by_number(self._ids, gradient @ c_matrix.T, len(b_matrix))
        if 1 in indexes:
            gradients[1] = self._chosen.T @ gradient
        return gradients

    def _by_chainer(self, b_matrix, c_matrix):
        return F.matmul(gather_rows(b_matrix, self._ids), c_matrix)


def look_up(
    b_matrix: chainer.Variable, c_matrix: chainer.Variable, ids: np.ndarray
) -> chainer.Variable:
    """Returns rows of B C ``(len(ids), n)``.

    Args:
        b_matrix: B ``(m, k)``.
        c_matrix: C ``(k, n)``.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.
    """
    return _LookUp(ids).apply((b_matrix, c_matrix))[0]
