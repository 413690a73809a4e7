"""The rows of a table that each row of a matrix adds up, and the gradients of such sums."""

from dataclasses import dataclass

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows, spread_columns
from nncompress.embedding.packing import Packing
from nncompress.matrix.functions.derived import DerivedArrays
from nncompress.matrix.functions.gradients import FusedFunction, is_training, row_numbers

F = chainer.functions


@dataclass(frozen=True)
class Choice:
    """The rows of a table that each row of a matrix adds up.

    Attributes:
        packed: Codes, uint8 ``(m, row_bytes)``.
        packing: The packing of the codes, s in each row.
        step: The offset between places in a row: ``units[i, j]`` is ``j * step`` plus code j of
            row i.
        num_units: k, the number of rows in the table.
        derived: A cache for arrays that are unpacked for products with one vector.
    """

    packed: np.ndarray
    packing: Packing
    step: int
    num_units: int
    derived: DerivedArrays

    @property
    def codes(self) -> tuple[np.ndarray, int, int, int]:
        """The codes in the form kernels take: packed, bits per code, the step, and s."""
        return self.packed, self.packing.bits, self.step, self.packing.count

    def units(self, rows: np.ndarray | slice, xp) -> np.ndarray:
        """Unpacks the units of some rows."""
        kind = np.uint16 if self.num_units <= 1 << 16 else np.int32
        places = xp.arange(self.packing.count, dtype=kind) * kind(self.step)
        return self.packing.unpack(self.packed[rows], xp).astype(kind) + places

    def all_units(self) -> np.ndarray:
        """Returns all units ``(m, s)``, unpacked once."""

        def made() -> np.ndarray:  # in row order, as the kernel expects
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
    """Returns the sparse matrix ``(L, k)`` that multiplies the table, as a dense one."""
    units = choice.units(rows, xp)
    if values is None:
        chosen = chainer.as_variable(xp.ones(units.shape, dtype=dtype))
    else:
        chosen = values if isinstance(rows, slice) else gather_rows(values, rows)
    return spread_columns(chosen, units, choice.num_units)


class _Sums(FusedFunction):
    """Base of the functions of a table and values, whose kernels a subclass calls.

    Args:
        choice: The rows of the table that are added up.
    """

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        self._choice = choice

    def _gradients_of_sums(
        self, values: tuple[np.ndarray, ...], table: np.ndarray, ids: np.ndarray, rows: np.ndarray
    ) -> list[np.ndarray]:
        """Returns the gradients of the table and, if there are values, of the values.

        Args:
            values: ``(m, s)``, or nothing.
            table: ``(k, n)``.
            ids: Row numbers of the matrix, int64 ``(L,)``, nonnegative.
            rows: The gradients of these rows, ``(L, n)``.
        """
        raise NotImplementedError

    def _left(
        self, rows: np.ndarray | slice, table: chainer.Variable, values: tuple
    ) -> chainer.Variable:
        """Returns rows of the sparse matrix that multiplies the table."""
        xp = chainer.backend.get_array_module(table)
        return dense(self._choice, values[0] if values else None, rows, table.dtype, xp)


class Product(_Sums):
    """Base of ``x, table, values, b -> x matrix' + b``; the last two inputs are optional.

    Args:
        choice: The rows of the table that are added up.
        has_values: Whether they are multiplied by values.
        has_bias: Whether there is a bias.
    """

    def __init__(self, choice: Choice, has_values: bool, has_bias: bool) -> None:
        super().__init__(choice)
        self._has_values, self._has_bias = has_values, has_bias

    def _keep(self, products: np.ndarray) -> None:
        """Keeps what gradients need: the inputs, and the products of table and x, ``(k, N)``."""
        if is_training():
            self.retain_inputs((0, 1, 2) if self._has_values else (0, 1))
            self._products = products

    def _gradients(self, indexes, gradient, x, table, *values):
        xp = chainer.backend.get_array_module(gradient)
        # Row i of the matrix has been multiplied to column i of the result.
        ids = xp.arange(gradient.shape[1], dtype=np.int64)
        of_products, *of_values = self._gradients_of_sums(values, self._products, ids, gradient.T)
        gradients = [of_products.T @ table, of_products @ x, *of_values]
        if self._has_bias:
            gradients.append(gradient.sum(axis=0))
        return gradients

    def _by_chainer(self, x, table, *values):
        return F.linear(F.linear(x, table), self._left(slice(None), table, values))


class Rows(_Sums):
    """Base of ``table, values -> matrix[ids]``; the row numbers have no gradient.

    Args:
        choice: The rows of the table that are added up.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.

    Raises:
        IndexError: A row number is out of range.
    """

    def __init__(self, choice: Choice, ids: np.ndarray) -> None:
        super().__init__(choice)
        self._ids = row_numbers(ids, len(choice.packed))

    def _gradients(self, indexes, gradient, table, *values):
        return self._gradients_of_sums(values, table, self._ids, gradient)

    def _by_chainer(self, table, *values):
        return F.matmul(self._left(self._ids, table, values), table)
