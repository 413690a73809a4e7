"""What ``chosen_rows`` computes, by the GPU's kernels."""

from typing import Any

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.factors import Codes
from nncompress.matrix.functions.gpu_kernels import kernels_of
from nncompress.matrix.functions.gradients import as_variables, is_training, row_numbers

Array = Any  # CuPy's


def multiply(
    x: chainer.Variable,
    codes: Codes,
    values: chainer.Variable | None,
    table: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns x ``(N, n)`` times the transpose of the matrix: ``(N, m)``.

    Args:
        x: What is multiplied.
        codes: The rows of the table that each row of the matrix adds up.
        values: ``(m, s)``; None for ones.
        table: ``(k, n)``.
        bias: ``(m,)``, added to each row of the result; None for none.
    """
    node = _Multiply(codes, values is not None, bias is not None)
    return node.apply([one for one in (x, table, values, bias) if one is not None])[0]


def look_up(
    codes: Codes, values: chainer.Variable | None, table: chainer.Variable, ids: Array
) -> chainer.Variable:
    """Returns rows of the matrix ``(len(ids), n)``.

    Args:
        codes: The rows of the table that each row of the matrix adds up.
        values: ``(m, s)``; None for ones.
        table: ``(k, n)``.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.
    """
    node = _LookUp(codes, row_numbers(ids, len(codes.packed)))
    return node.apply((table,) if values is None else (table, values))[0]


class _Multiply(chainer.FunctionNode):
    """The function ``x, table, values, b -> x matrix' + b``, without some of the last two."""

    def __init__(self, codes: Codes, has_values: bool, has_bias: bool) -> None:
        super().__init__()
        self._codes, self._has_values, self._has_bias = codes, has_values, has_bias

    def forward(self, inputs):
        x, table, *rest = map(_contiguous, inputs)
        values, bias = rest[0] if self._has_values else None, rest[-1] if self._has_bias else None
        products = _contiguous(table @ x.T)
        if is_training():
            self.retain_inputs((0, 1, 2) if self._has_values else (0, 1))
            self._products = products
        return (kernels_of(table).multiply(self._codes, values, products, bias),)

    def backward(self, indexes, grad_outputs):
        x, table, *values = (variable.array for variable in self.get_retained_inputs())
        gradient = grad_outputs[0].array
        xp = chainer.backend.get_array_module(gradient)
        # Row i of the matrix has been multiplied to column i of the result.
        ids = xp.arange(gradient.shape[1], dtype=np.int64)
        of_products, of_values = _sums(self._codes, values, self._products, ids, gradient.T)
        gradients = [of_products.T @ table, of_products @ x, *of_values]
        if self._has_bias:
            gradients.append(gradient.sum(axis=0))
        return as_variables(gradients, indexes)


class _LookUp(chainer.FunctionNode):
    """The function ``table, values -> matrix[ids]``; the numbers have no gradient."""

    def __init__(self, codes: Codes, ids: Array) -> None:
        super().__init__()
        self._codes, self._ids = codes, ids

    def forward(self, inputs):
        table, *values = map(_contiguous, inputs)
        if is_training():
            self.retain_inputs(tuple(range(len(inputs))))
        values = values[0] if values else None
        return (kernels_of(table).look_up(self._codes, values, table, self._ids),)

    def backward(self, indexes, grad_outputs):
        table, *values = (variable.array for variable in self.get_retained_inputs())
        sums, of_values = _sums(self._codes, values, table, self._ids, grad_outputs[0].array)
        return as_variables([sums, *of_values], indexes)


def _contiguous(array: Array) -> Array:
    return chainer.backend.get_array_module(array).ascontiguousarray(array)


def _sums(
    codes: Codes, values: list[Array], table: Array, ids: Array, rows: Array
) -> tuple[Array, list[Array]]:
    """Returns the gradients of the table and, if there are any, of values, from those of rows."""
    table, rows, *values = map(_contiguous, (table, rows, *values))
    found = kernels_of(table).gradients(codes, values[0] if values else None, table, ids, rows)
    return found[0], [one for one in found[1:] if one is not None]
