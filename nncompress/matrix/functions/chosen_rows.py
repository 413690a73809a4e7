"""Products with a matrix whose rows are sums of a few rows of a table, and lookups of its rows.

Row i of the matrix ``(m, n)`` is ``sum over j of values[i, j] * table[units[i, j]]``: sparse codes
and a dictionary, or, with all values 1, compositional codes and a codebook. A product computes
``table x'`` first, and adds up its rows instead of the table's.
"""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.functions import chosen_rows_gpu
from nncompress.matrix.functions.choice import Choice, Product, Rows, dense
from nncompress.matrix.functions.gpu_kernels import are_on_a_gpu
from nncompress.matrix.functions.gradients import is_training
from nncompress.matrix.functions.team import run

F = chainer.functions


def multiply(
    x: chainer.Variable,
    choice: Choice,
    values: chainer.Variable | None,
    table: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns x ``(N, n)`` times the transpose of the matrix: ``(N, m)``.

    Args:
        x: The left operand.
        choice: The rows that are added up.
        values: ``(m, s)``; None for ones.
        table: ``(k, n)``.
        bias: ``(m,)``, added to each row of the result; None for none.
    """
    if are_on_a_gpu(table, x):
        kind: type[Product] = chosen_rows_gpu.Multiply
    elif _has_kernels(table, x):
        kind = _Multiply
    else:
        xp = chainer.backend.get_array_module(table)
        left = dense(choice, values, slice(None), table.dtype, xp)
        return F.linear(F.linear(x, table), left, bias)
    node = kind(choice, values is not None, bias is not None)
    return node.apply([one for one in (x, table, values, bias) if one is not None])[0]


def look_up(
    choice: Choice, values: chainer.Variable | None, table: chainer.Variable, ids: np.ndarray
) -> chainer.Variable:
    """Returns rows of the matrix ``(len(ids), n)``.

    Args:
        choice: The rows that are added up.
        values: ``(m, s)``; None for ones.
        table: ``(k, n)``.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.
    """
    if are_on_a_gpu(table):
        kind: type[Rows] = chosen_rows_gpu.LookUp
    elif _has_kernels(table):
        kind = _LookUp
    else:
        xp = chainer.backend.get_array_module(table)
        return F.matmul(dense(choice, values, ids, table.dtype, xp), table)
    return kind(choice, ids).apply((table,) if values is None else (table, values))[0]


def _has_kernels(*variables: chainer.Variable) -> bool:
    arrays = [one.array if isinstance(one, chainer.Variable) else one for one in variables]
    return all(isinstance(one, np.ndarray) and one.dtype == np.float32 for one in arrays)


class _OnACpu:
    """The gradients of sums, computed by CPU kernels."""

    def _gradients_of_sums(self, values, table, ids, rows):
        from nncompress.cpu import chosen_rows

        of_table = np.zeros_like(table, order="C")
        of_values = [np.zeros_like(one, order="C") for one in values]
        chosen_rows.gradients(
            self._choice.codes, np.ascontiguousarray(values[0]) if values else None,
            np.ascontiguousarray(table), ids, np.ascontiguousarray(rows), of_table,
            of_values[0] if values else None,
        )  # fmt: skip
        return [of_table, *of_values]


class _Multiply(_OnACpu, Product):
    """The product, computed by CPU kernels."""

    def forward(self, inputs):
        from nncompress.cpu import chosen_rows

        x, table, *rest = inputs
        values = np.ascontiguousarray(rest[0]) if self._has_values else None
        num_rows, count = len(self._choice.packed), self._choice.packing.count
        bias = rest[-1] if self._has_bias else np.zeros(num_rows, np.float32)
        products = np.ascontiguousarray(table @ x.T)
        out = np.empty((len(x), num_rows), np.float32)
        if len(x) == 1:
            self._multiply_vector(values, products.reshape(-1), bias, out.reshape(-1))
        else:
            additions = num_rows * count * len(x)
            run(chosen_rows.multiply, additions, self._choice.codes, values, products, bias, out)
        self._keep(products)
        return (out,)

    def _multiply_vector(self, values, products, bias, out):
        from nncompress.cpu import chosen_rows
        from nncompress.cpu.permutes import TABLE
        from nncompress.cpu.target import PERMUTES

        choice = self._choice
        if PERMUTES and values is None and choice.step <= TABLE:
            products = np.concatenate([products, np.zeros(TABLE, np.float32)])
            codes = choice.by_place()
            additions = codes.size // TABLE
            arguments = codes, choice.step, products, bias, out
            run(chosen_rows.multiply_vector_by_codes, additions, *arguments)
        else:
            units = choice.all_units()
            run(chosen_rows.multiply_vector, units.size, units, values, products, bias, out)


class _LookUp(_OnACpu, Rows):
    """Rows of the matrix, computed by CPU kernels."""

    def forward(self, inputs):
        from nncompress.cpu import chosen_rows

        table, *values = map(np.ascontiguousarray, inputs)
        rows = np.empty((len(self._ids), table.shape[1]), np.float32)
        additions = rows.size * self._choice.packing.count
        arguments = values[0] if values else None, table, self._ids, rows
        run(chosen_rows.look_up, additions, self._choice.codes, *arguments)
        if is_training():
            self.retain_inputs(tuple(range(len(inputs))))
        return (rows,)
