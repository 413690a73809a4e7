"""Products with a matrix B C, which is not formed, and rows of it."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import sum_by_number
from nncompress.matrix.functions.gradients import as_variables, is_training


class _Multiply(chainer.FunctionNode):
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

    def backward(self, indexes, grad_outputs):
        x, b_matrix, c_matrix = (variable.array for variable in self.get_retained_inputs())
        gradient = grad_outputs[0].array
        of_inner = gradient @ b_matrix
        gradients = [
            of_inner @ c_matrix if 0 in indexes else None,
            gradient.T @ self._inner if 1 in indexes else None,
            of_inner.T @ x if 2 in indexes else None,
            gradient.sum(axis=0) if 3 in indexes else None,
        ]
        return as_variables(gradients, indexes)


def multiply(
    x: chainer.Variable,
    b_matrix: chainer.Variable,
    c_matrix: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns x ``(N, n)`` times the transpose of B C: ``(N, m)``.

    Args:
        x: What is multiplied.
        b_matrix: B ``(m, k)``.
        c_matrix: C ``(k, n)``.
        bias: ``(m,)``, added to each row of the result; None for none.
    """
    inputs = (x, b_matrix, c_matrix) if bias is None else (x, b_matrix, c_matrix, bias)
    return _Multiply().apply(inputs)[0]


class _LookUp(chainer.FunctionNode):
    """The function ``B, C -> (B C)[ids]``; the numbers have no gradient."""

    def __init__(self, ids: np.ndarray) -> None:
        super().__init__()
        self._ids = ids

    def forward(self, inputs):
        b_matrix, c_matrix = inputs
        chosen = b_matrix[self._ids]
        if is_training():
            self.retain_inputs((1,))
            self._chosen, self._num_rows = chosen, len(b_matrix)
        return (chosen @ c_matrix,)

    def backward(self, indexes, grad_outputs):
        (c_matrix,) = (variable.array for variable in self.get_retained_inputs())
        gradient = grad_outputs[0].array
        gradients = [None, None]
        if 0 in indexes:
            gradients[0] = sum_by_number(self._ids, gradient @ c_matrix.T, self._num_rows)
        if 1 in indexes:
            gradients[1] = self._chosen.T @ gradient
        return as_variables(gradients, indexes)


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
