"""The factors of dictionary learning: sparse codes and a dictionary."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.packing import Packing, bits_for
from nncompress.errors import InputError
from nncompress.matrix.functions import chosen_rows, low_rank
from nncompress.matrix.functions.choice import Choice, dense
from nncompress.matrix.functions.derived import check_numbers
from nncompress.matrix.methods.interface import PairFactors


class SparseFactors(PairFactors):
    """Sparse codes with equally many entries in each row, and a dictionary.

    The values and the dictionary are trained; the columns of the codes are packed. If rows use the
    whole dictionary, the values are in the order of its rows and no columns are stored.

    Args:
        shape: A's shape, ``(m, n)``.
        dtype: A's type.
        num_atoms: k, the number of rows in the dictionary.
        count: s, the number of them that a row uses.
    """

    def __init__(
        self, shape: tuple[int, int], dtype: np.dtype, num_atoms: int, count: int
    ) -> None:
        super().__init__(shape, dtype)
        self._packing = Packing(count, bits_for(num_atoms))
        self._is_dense = count == num_atoms
        with self.init_scope():
            self.values = self._parameter(self.shape[0], count)
            self.dictionary = self._parameter(num_atoms, self.shape[1])
        if not self._is_dense:
            packed = np.zeros((self.shape[0], self._packing.row_bytes), dtype=np.uint8)
            self.add_persistent("columns", packed)

    def assign(self, factors: list[np.ndarray]) -> None:
        """Sets the values ``(m, s)``, their columns ``(m, s)``, and the dictionary ``(k, n)``.

        Columns are distinct within a row.
        """
        values, columns, dictionary = factors
        if columns.shape != self.values.shape or values.shape != columns.shape:
            raise InputError(
                f"expected values and columns of shape {self.values.shape}, got {values.shape} "
                f"and {columns.shape}"
            )
        if self._is_dense:
            places = self.xp.arange(len(columns))[:, None], columns
            dense = self.xp.zeros_like(values)
            dense[places] = values
            super().assign([dense, dictionary])
        else:
            packed = self._packing.pack(chainer.backends.cuda.to_cpu(columns))
            super().assign([values, self.xp.asarray(packed), dictionary])

    def left(self) -> chainer.Variable:
        if self._is_dense:
            return self.values
        return dense(self._choice(), self.values, slice(None), self.dtype, self.xp)

    def right(self) -> chainer.Variable:
        return self.dictionary

    def matmul(
        self, x: chainer.Variable, bias: chainer.Variable | None = None
    ) -> chainer.Variable:
        if self._is_dense:
            return low_rank.multiply(x, self.values, self.dictionary, bias)
        return chosen_rows.multiply(x, self._choice(), self.values, self.dictionary, bias)

    def lookup(self, ids: np.ndarray) -> chainer.Variable:
        if self._is_dense:
            return low_rank.look_up(self.values, self.dictionary, ids)
        return chosen_rows.look_up(self._choice(), self.values, self.dictionary, ids)

    def _choice(self) -> Choice:
        atoms = len(self.dictionary)
        check_numbers(self.columns, self._packing, atoms, self.derived)
        return Choice(self.columns, self._packing, 0, atoms, self.derived)

    def _stored(self) -> list[np.ndarray]:
        columns = [] if self._is_dense else [self.columns]
        return [self.values.array, *columns, self.dictionary.array]
