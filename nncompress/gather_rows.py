"""Choosing rows of a matrix by number, with a gradient that is quick on a CPU.

Chainer's ``embed_id`` adds gradients up in a loop of Python's, one row at a time.
"""

import numpy as np

from nncompress.chainer_compat import chainer


class _GatherRows(chainer.FunctionNode):
    """``numbers -> table[numbers]``; the numbers are no input that has a gradient."""

    def __init__(self, numbers: np.ndarray) -> None:
        super().__init__()
        self._numbers = numbers

    def forward(self, inputs: tuple[np.ndarray]) -> tuple[np.ndarray]:
        (table,) = inputs
        self._table = table.shape, table.dtype
        return (table[self._numbers],)

    def backward(
        self, indexes: tuple[int], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable]:
        (num_rows, dim), dtype = self._table
        gradients = grad_outputs[0].array.reshape(-1, dim)
        numbers = self._numbers.reshape(-1)
        xp = chainer.backend.get_array_module(gradients)
        total = xp.empty((num_rows, dim), dtype=dtype)
        for column in range(dim):
            # Sums by number, in float64 whatever the type is.
            total[:, column] = xp.bincount(numbers, gradients[:, column], num_rows)
        return (chainer.as_variable(total),)


def gather_rows(table: chainer.Variable, numbers: np.ndarray) -> chainer.Variable:
    """Returns rows of a matrix.

    The gradient is not differentiable itself.

    Args:
        table: ``(n, D)``.
        numbers: Integers below n, of any shape.

    Returns:
        The rows: D longer than the shape of ``numbers``.
    """
    return _GatherRows(numbers).apply((table,))[0]
