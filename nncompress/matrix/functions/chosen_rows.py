"""Products with a matrix whose rows are sums of a few rows of a table, and rows of it.

Row i of the matrix ``(m, n)`` is ``sum over j of values[i, j] * table[units[i, j]]``: sparse codes
and a dictionary, or, with all values 1, compositional codes and a codebook. A product goes through
``table x'``, whose rows are added up in the table's place.
"""

from dataclasses import dataclass

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows, spread_columns
from nncompress.embedding.packing import Packing
from nncompress.gpu.factors import Codes
from nncompress.matrix.functions import chosen_rows_gpu
from nncompress.matrix.functions.derived import DerivedArrays
from nncompress.matrix.functions.gpu_kernels import are_on_a_gpu
from nncompress.matrix.functions.gradients import (
    as_variables,
    is_training,
    row_numbers,
)
from nncompress.matrix.functions.team import run

F = chainer.functions


@dataclass(frozen=True)
class Choice:
    """The rows of a table that each row of a matrix adds up.

    Attributes:
        packed: Codes, uint8 ``(m, row_bytes)``.
        packing: How they are packed: s of them in a row.
        step: What a unit's place in its row adds to it: ``units[i, j]`` is ``j * step`` and code j
            of row i.
        num_units: k, the number of the table's rows.
        derived: Where what is unpacked for products with one vector is kept.
    """

    packed: np.ndarray
    packing: Packing
    step: int
    num_units: int
    derived: DerivedArrays

    @property
    def codes(self) -> tuple[np.ndarray, int, int, int]:
        """The codes as kernels want them: packed, bits of each, the step, and s."""
        return self.packed, self.packing.bits, self.step, self.packing.count

    def units(self, rows: np.ndarray | slice, xp) -> np.ndarray:
        """Unpacks the units of some rows."""
        kind = np.uint16 if self.num_units <= 1 << 16 else np.int32
        places = xp.arange(self.packing.count, dtype=kind) * kind(self.step)
        return self.packing.unpack(self.packed[rows], xp).astype(kind) + places

    def all_units(self) -> np.ndarray:
        """Returns all units ``(m, s)``, unpacked once."""

        def made() -> np.ndarray:  # in the order of rows, which the kernel goes by
            return np.ascontiguousarray(self.units(slice(None), np))

        return self.derived.get("units", self.packed, made)

    def by_place(self) -> np.ndarray:
        """Returns codes, uint8 ``(s, M)``, unpacked once; M is m or a little more."""
        from nncompress.cpu.permutes import TOGETHER

        def made() -> np.ndarray:
            codes = self.packing.unpack(self.packed)
            padded = np.zeros((codes.shape[1], -(-len(codes) // TOGETHER) * TOGETHER), np.uint8)
            padded[:, : len(codes)] = codes.T
            return padded

        return self.derived.get("codes by place", self.packed, made)


def dense(choice: Choice, values: chainer.Variable | None, rows, dtype, xp) -> chainer.Variable:
    """Returns the sparse matrix ``(L, k)`` that the table is multiplied by, with all its zeros."""
    units = choice.units(rows, xp)
    if values is None:
        chosen = chainer.as_variable(xp.ones(units.shape, dtype=dtype))
    else:
        chosen = values if isinstance(rows, slice) else gather_rows(values, rows)
    return spread_columns(chosen, units, choice.num_units)


def multiply(
    x: chainer.Variable,
    choice: Choice,
    values: chainer.Variable | None,
    table: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns x ``(N, n)`` times the transpose of the matrix: ``(N, m)``.

    Args:
        x: What is multiplied.
        choice: The rows that are added up.
        values: ``(m, s)``; None for ones.
        table: ``(k, n)``.
        bias: ``(m,)``, added to each row of the result; None for none.
    """
    if are_on_a_gpu(table, x):
        return chosen_rows_gpu.multiply(x, Codes(*choice.codes), values, table, bias)
    if not _has_kernels(table, x):
        xp = chainer.backend.get_array_module(table)
        left = dense(choice, values, slice(None), table.dtype, xp)
        return F.linear(F.linear(x, table), left, bias)
    node = _Multiply(choice, values is not None, bias is not None)
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
        return chosen_rows_gpu.look_up(Codes(*choice.codes), values, table, ids)
    if not _has_kernels(table):
        xp = chainer.backend.get_array_module(table)
        return F.matmul(dense(choice, values, ids, table.dtype, xp), table)
    return _LookUp(choice, ids).apply((table,) if values is None else (table, values))[0]


def _has_kernels(*variables: chainer.Variable) -> bool:
    arrays = [one.array if isinstance(one, chainer.Variable) else one for one in variables]
    return all(isinstance(one, np.ndarray) and one.dtype == np.float32 for one in arrays)


class _Multiply(chainer.FunctionNode):
    """The function ``x, table, values, b -> x matrix' + b``, without some of the last two."""

    def __init__(self, choice: Choice, has_values: bool, has_bias: bool) -> None:
        super().__init__()
        self._choice, self._has_values, self._has_bias = choice, has_values, has_bias

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
            run(chosen_rows.multiply, additions, *self._choice.codes, values, products, bias, out)
        if is_training():
            self.retain_inputs((0, 1, 2) if self._has_values else (0, 1))
            self._products = products
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

    def backward(self, indexes, grad_outputs):
        x, table, *values = (variable.array for variable in self.get_retained_inputs())
        gradient = grad_outputs[0].array
        # Row i of the matrix has been multiplied to column i of the result.
        of_products, of_values = _sums(
            self._choice, values, self._products, np.arange(gradient.shape[1]), gradient.T
        )
        gradients = [of_products.T @ table, of_products @ x, *of_values]
        if self._has_bias:
            gradients.append(gradient.sum(axis=0))
        return as_variables(gradients, indexes)


class _LookUp(chainer.FunctionNode):
    """The function ``table, values -> matrix[ids]``; the numbers have no gradient."""

    def __init__(self, choice: Choice, ids: np.ndarray) -> None:
        super().__init__()
        self._choice, self._ids = choice, row_numbers(ids, len(choice.packed))

    def forward(self, inputs):
        from nncompress.cpu import chosen_rows

        table, *values = map(np.ascontiguousarray, inputs)
        rows = np.empty((len(self._ids), table.shape[1]), np.float32)
        additions = rows.size * self._choice.packing.count
        arguments = values[0] if values else None, table, self._ids, rows
        run(chosen_rows.look_up, additions, *self._choice.codes, *arguments)
        if is_training():
            self.retain_inputs(tuple(range(len(inputs))))
        return (rows,)

    def backward(self, indexes, grad_outputs):
        table, *values = (variable.array for variable in self.get_retained_inputs())
        sums, of_values = _sums(self._choice, values, table, self._ids, grad_outputs[0].array)
        return as_variables([sums, *of_values], indexes)


def _sums(
    choice: Choice, values: list[np.ndarray], table: np.ndarray, ids: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns the gradients of the table and, if there are any, of values, from those of rows."""
    from nncompress.cpu import chosen_rows

    of_table = np.zeros_like(table, order="C")
    of_values = [np.zeros_like(one, order="C") for one in values]
    chosen_rows.gradients(
        *choice.codes, np.ascontiguousarray(values[0]) if values else None,
        np.ascontiguousarray(table), ids, np.ascontiguousarray(rows), of_table,
        of_values[0] if values else None,
    )  # fmt: skip
    return of_table, of_values
