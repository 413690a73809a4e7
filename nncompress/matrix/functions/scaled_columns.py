"""Products with a matrix R S D, of which R S is fixed and D scales columns, and rows of it."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.functions.gradients import as_variables, is_training


class _Multiply(chainer.FunctionNode):
    """The function ``x, scales, b -> (x * scales) fixed' + b``."""

    def __init__(self, fixed: np.ndarray) -> None:
        super().__init__()
        self._fixed = fixed

    def forward(self, inputs):
        x, scales, *bias = inputs
        out = (x * scales) @ self._fixed.T
        if bias:
            out += bias[0]
        if is_training():
            self.retain_inputs((0, 1))
        return (out,)

    def backward(self, indexes, grad_outputs):
        x, scales = (variable.array for variable in self.get_retained_inputs())
        gradient = grad_outputs[0].array
        of_scaled = gradient @ self._fixed
        gradients = [of_scaled * scales, (of_scaled * x).sum(axis=0), gradient.sum(axis=0)]
        return as_variables(gradients, indexes)


def multiply(
    x: chainer.Variable,
    fixed: np.ndarray,
    scales: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns x ``(N, n)`` times the transpose of the matrix: ``(N, m)``.

    Args:
        x: What is multiplied.
        fixed: R S, ``(m, n)``.
        scales: The diagonal of D, ``(n,)``.
        bias: ``(m,)``, added to each row of the result; None for none.
    """
    return _Multiply(fixed).apply((x, scales) if bias is None else (x, scales, bias))[0]


class _Scale(chainer.FunctionNode):
    """The function ``scales -> rows * scales``."""

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__()
        self._rows = rows

    def forward(self, inputs):
        return (self._rows * inputs[0],)

    def backward(self, indexes, grad_outputs):
        return (chainer.as_variable((grad_outputs[0].array * self._rows).sum(axis=0)),)


def scale(rows: np.ndarray, scales: chainer.Variable) -> chainer.Variable:
    """Returns rows ``(L, n)`` of R S with their columns scaled."""
    return _Scale(rows).apply((scales,))[0]
