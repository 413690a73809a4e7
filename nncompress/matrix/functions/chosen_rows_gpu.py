"""The functions of ``chosen_rows``, computed by GPU kernels."""

from typing import Any

from nncompress.gpu.factors import Codes
from nncompress.matrix.functions.choice import Product, Rows
from nncompress.matrix.functions.gpu_kernels import kernels_of
from nncompress.matrix.functions.gradients import contiguous, is_training

Array = Any  # CuPy's


class _OnAGpu:
    """The gradients of sums, computed by GPU kernels."""

    def _gradients_of_sums(self, values, table, ids, rows):
        table, rows, *values = map(contiguous, (table, rows, *values))
        given = values[0] if values else None
        found = kernels_of(table).gradients(self._codes, given, table, ids, rows)
        return [one for one in found if one is not None]

    @property
    def _codes(self) -> Codes:
        return Codes(*self._choice.codes)


class Multiply(_OnAGpu, Product):
    """The product, computed by GPU kernels."""

    def forward(self, inputs: tuple[Array, ...]) -> tuple[Array]:
        """Returns the product."""
        x, table, *rest = map(contiguous, inputs)
        values, bias = rest[0] if self._has_values else None, rest[-1] if self._has_bias else None
        products = contiguous(table @ x.T)
        self._keep(products)
        return (kernels_of(table).multiply(self._codes, values, products, bias),)


class LookUp(_OnAGpu, Rows):
    """Rows of the matrix, computed by GPU kernels."""

    def forward(self, inputs: tuple[Array, ...]) -> tuple[Array]:
        """Returns the rows."""
        table, *values = map(contiguous, inputs)
        if is_training():
            self.retain_inputs(tuple(range(len(inputs))))
        values = values[0] if values else None
        return (kernels_of(table).look_up(self._codes, values, table, self._ids),)
