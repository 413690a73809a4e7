"""Choosing rows of a matrix by number, and the reverse, with gradients that are fast on a CPU.

Chainer's ``embed_id`` adds up gradients in a Python loop, one row at a time.
"""

import numpy as np

from nncompress.chainer_support.compatibility import chainer


def sum_by_number(numbers: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Adds up rows that have the same number, which is the reverse of choosing rows by number.

    Args:
        numbers: Integers below ``count``, ``(n,)``; negative ones count from the end.
        rows: NumPy or CuPy ``(n, D)``, float32 or float64.
        count: Number of sums.

    Returns:
        The sums, ``(count, D)``, in the rows' type.
    """
    # A small integer type may not be able to hold the number of rows.
    numbers = numbers.astype(np.int64) % count
    xp = chainer.backend.get_array_module(rows)
    dim = rows.shape[1]
    total = xp.zeros((count, dim), dtype=rows.dtype)
    if xp is not np:
        xp.add.at(total, numbers, rows)
    elif count <= len(numbers):  # few rows, each chosen often: sums in float64
        for column in range(dim):
            total[:, column] = np.bincount(numbers, rows[:, column], count)
    elif len(numbers):  # many rows: avoids a pass over all of them for each column
        order = np.argsort(numbers, kind="stable")
        chosen, first = np.unique(numbers[order], return_index=True)
        total[chosen] = np.add.reduceat(rows[order], first, axis=0)
    return total


class _GatherRows(chainer.FunctionNode):
    """The function ``table -> table[numbers]``; the numbers have no gradient."""

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
        return _SumByNumber(self._numbers, *self._table).apply(grad_outputs)


class _SumByNumber(chainer.FunctionNode):
    """The reverse of ``_GatherRows``, which adds up rows in a table of a given shape and type."""

    def __init__(self, numbers: np.ndarray, shape: tuple[int, int], dtype: np.dtype) -> None:
        super().__init__()
        self._numbers, self._shape, self._dtype = numbers, shape, dtype

    def forward(self, inputs: tuple[np.ndarray]) -> tuple[np.ndarray]:
        num_rows, dim = self._shape
        rows = inputs[0].reshape(self._numbers.size, dim)
        total = sum_by_number(self._numbers.reshape(-1), rows, num_rows)
        return (total.astype(self._dtype, copy=False),)

    def backward(
        self, indexes: tuple[int], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable]:
        return (gather_rows(grad_outputs[0], self._numbers),)


def gather_rows(table: chainer.Variable, numbers: np.ndarray) -> chainer.Variable:
    """Returns rows of a matrix.

    Args:
        table: The matrix, ``(n, D)``, float32 or float64.
        numbers: Integers below n, of any shape; negative ones count from the end.

    Returns:
        The rows, of the shape of ``numbers`` with D appended.
    """
    return _GatherRows(numbers).apply((table,))[0]


class _SpreadColumns(chainer.FunctionNode):
    """The function that puts values into their columns of a matrix of zeros."""

    def __init__(self, columns: np.ndarray, width: int) -> None:
        super().__init__()
        self._columns, self._width = columns, width

    def forward(self, inputs: tuple[np.ndarray]) -> tuple[np.ndarray]:
        (values,) = inputs
        xp = chainer.backend.get_array_module(values)
        total = xp.zeros((len(values), self._width), dtype=values.dtype)
        total[xp.arange(len(values))[:, None], self._columns] = values
        return (total,)

    def backward(
        self, indexes: tuple[int], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable]:
        return _ChooseColumns(self._columns, self._width).apply(grad_outputs)


class _ChooseColumns(chainer.FunctionNode):
    """The reverse of ``_SpreadColumns``, which returns the values of columns."""

    def __init__(self, columns: np.ndarray, width: int) -> None:
        super().__init__()
        self._columns, self._width = columns, width

    def forward(self, inputs: tuple[np.ndarray]) -> tuple[np.ndarray]:
        (rows,) = inputs
        xp = chainer.backend.get_array_module(rows)
        values = rows[xp.arange(len(rows))[:, None], self._columns]
        # In the memory order of parameters, whatever the order of the columns.
        return (xp.ascontiguousarray(values),)

    def backward(
        self, indexes: tuple[int], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable]:
        return (spread_columns(grad_outputs[0], self._columns, self._width),)


def spread_columns(values: chainer.Variable, columns: np.ndarray, width: int) -> chainer.Variable:
    """Returns rows of zeros with values in some columns, ``(n, width)``.

    Args:
        values: The values, ``(n, s)``, float32 or float64.
        columns: Integers below the width, ``(n, s)``, none twice in a row.
        width: Number of columns.
    """
    return _SpreadColumns(columns, width).apply((values,))[0]
