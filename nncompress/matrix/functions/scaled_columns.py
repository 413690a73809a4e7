"""Products with a matrix R S D, where R S is fixed and D scales columns, and its scaled rows."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.functions.gradients import FusedFunction, is_training

F = chainer.functions


class _Multiply(FusedFunction):
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

    def _gradients(self, indexes, gradient, x, scales):
        of_scaled = gradient @ self._fixed
        return [of_scaled * scales, (of_scaled * x).sum(axis=0), gradient.sum(axis=0)]

    def _by_chainer(self, x, scales):
        return F.linear(F.scale(x, scales), self._fixed)


def multiply(
    x: chainer.Variable,
    fixed: np.ndarray,
    scales: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns x ``(N, n)`` times the transpose of the matrix: ``(N, m)``.

    Args:
        x: The left operand.
        fixed: R S, ``(m, n)``.
        scales: The diagonal of D, ``(n,)``.
        bias: ``(m,)``, added to each row of the result; None for none.
    """
    return _Multiply(fixed).apply((x, scales) if bias is None else (x, scales, bias))[0]


class _Scale(FusedFunction):
    """The function ``scales -> rows * scales``."""

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__()
        self._rows = rows

    def forward(self, inputs):
        self.retain_inputs((0,))
        return (self._rows * inputs[0],)

    def _gradients(self, indexes, gradient, scales):
        return [(gradient * self._rows).sum(axis=0)]

    def _by_chainer(self, scales):
        return F.scale(self._rows, scales)


def scale(rows: np.ndarray, scales: chainer.Variable) -> chainer.Variable:
    """Returns rows ``(L, n)`` of R S with their columns scaled."""
    return _Scale(rows).apply((scales,))[0]
