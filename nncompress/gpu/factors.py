"""Launching the kernels of compressed matrices' factors."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from nncompress.gpu.runtime import Runtime, open_gpu

_THREADS, _WARP = 128, 32
_COLUMNS = 8  # as in `cuda/factors.cuh`

Array = Any  # CuPy's, or NumPy's in the emulator


class Codes(NamedTuple):
    """The packed units of a matrix's rows; unit j is ``j * step`` plus integer j of the row."""

    packed: Array  # uint8 (m, row_bytes)
    bits: int
    step: int
    count: int  # s

    @property
    def arguments(self) -> list[object]:
        """Returns the codes as arguments for kernels."""
        sizes = self.packed.shape[1], self.bits, self.step, self.count
        return [self.packed, *map(np.int32, sizes)]


@cache
def kernels_on(gpu: int) -> "FactorKernels":
    """Returns the kernels for the GPU of a given number.

    Raises:
        InputError: The GPU is too old for the kernels.
    """
    return FactorKernels(open_gpu(gpu))


class FactorKernels:
    """Products with matrices whose rows are sums of a table's rows, and rows of blocks.

    Arrays are C-contiguous and float32. The numbers of rows, ``ids``, are int64 and not negative.

    Args:
        runtime: The GPU.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._xp = runtime.xp
        self._kernels = runtime.load("factors")

    def look_up(self, codes: Codes, values: Array | None, table: Array, ids: Array) -> Array:
        """Returns sums of a table's rows, ``(L, n)``.

        Args:
            codes: The rows to add up.
            values: Their factors, ``(m, s)``; None for ones.
            table: ``(k, n)``.
            ids: Numbers of rows, ``(L,)``.
        """
        dim = table.shape[1]
        rows = self._xp.empty((len(ids), dim), np.float32)
        chunks = -(-dim // _THREADS)
        self._launch(
            "add_up_rows", len(ids) * chunks,
            [*codes.arguments, values, table, ids, rows, np.int32(dim), np.int32(chunks)],
            shared=8 * _THREADS,
        )  # fmt: skip
        return rows

    def multiply(
        self, codes: Codes, values: Array | None, products: Array, bias: Array | None
    ) -> Array:
        """Returns sums of products for all rows of the matrix, ``(N, m)``.

        Args:
            codes: The rows of the products to add up.
            values: Their factors, ``(m, s)``; None for ones.
            products: The table times the vectors to multiply, ``(k, N)``.
            bias: ``(m,)``; None for no bias.
        """
        num_rows, num_columns = len(codes.packed), products.shape[1]
        out = self._xp.empty((num_columns, num_rows), np.float32)
        chunks = -(-num_columns // _COLUMNS)
        sizes = map(np.int32, (num_rows, num_columns, chunks))
        self._launch(
            "multiply_rows", -(-num_rows // _THREADS) * chunks,
            [*codes.arguments, values, products, bias, out, *sizes],
        )  # fmt: skip
        return out

    def gradients(
        self, codes: Codes, values: Array | None, table: Array, ids: Array, of_rows: Array
    ) -> tuple[Array, Array | None]:
        """Returns the gradients of a table and of values.

        Args:
            codes: The rows that were added up.
            values: Their factors, ``(m, s)``; None for ones.
            table: ``(k, n)``.
            ids: Numbers of rows, ``(L,)``.
            of_rows: The gradients of these rows, ``(L, n)``.

        Returns:
            The gradients of the table, ``(k, n)``, and of the values, ``(m, s)``; None without
            values.
        """
        num_units, dim = table.shape
        units = self._xp.empty((len(ids), codes.count), np.int32)
        self._for_each("unpack_units", [*codes.arguments, ids, units], units.size)
        of_table = self._sum_by_unit(units, codes.count, values, ids, of_rows, num_units)
        if values is None:
            return of_table, None
        products = self._xp.empty(units.shape, np.float32)
        sizes = np.int32(dim), np.int64(units.size)
        self._launch(
            "multiply_by_unit", -(-units.size // (_THREADS // _WARP)),
            [units, np.int32(codes.count), table, of_rows, products, *sizes],
        )  # fmt: skip
        return of_table, self._sum_by_unit(ids, 1, None, ids, products, len(values))

    def _sum_by_unit(
        self, units: Array, count: int, values: Array | None, ids: Array, rows: Array, size: int
    ) -> Array:
        """Returns the sum of the rows ``(L, n)`` that have each unit ``(L, s)``, ``(size, n)``."""
        dim = rows.shape[1]
        sums = self._xp.empty((size, dim), np.float32)
        chunks = -(-dim // _THREADS)
        sizes = np.int32(dim), np.int32(chunks)
        self._launch(
            "sum_by_unit", size * chunks,
            [*self._sorted(units, size), np.int32(count), values, ids, rows, sums, *sizes],
        )  # fmt: skip
        return sums

    def decode(
        self, packed: Array, bits: int, centroids: Array, ids: Array, num_columns: int
    ) -> Array:
        """Returns decoded rows whose blocks of entries are centroids, ``(L, n)``.

        Args:
            packed: The numbers of the blocks' centroids, uint8.
            bits: Bits of a number.
            centroids: ``(c, block_size)``.
            ids: Numbers of rows, ``(L,)``.
            num_columns: n.
        """
        rows = self._xp.empty((len(ids), num_columns), np.float32)
        sizes = np.int32(bits), np.int32(centroids.shape[1])
        arguments = [packed, *sizes, centroids, ids, rows, np.int32(num_columns)]
        self._for_each("decode_blocks", arguments, rows.size)
        return rows

    def sum_by_number(
        self, packed: Array, bits: int, shape: tuple[int, int], ids: Array, of_rows: Array
    ) -> Array:
        """Returns the gradient of centroids of a shape, given the gradients of rows ``(L, n)``."""
        places = self._xp.empty(of_rows.shape, np.int32)
        sizes = np.int32(bits), np.int32(shape[1])
        arguments = [packed, *sizes, ids, places, np.int32(of_rows.shape[1])]
        self._for_each("find_places", arguments, places.size)
        sums = self._xp.empty(shape, np.float32)
        self._launch("sum_by_place", sums.size, [*self._sorted(places, sums.size), of_rows, sums])
        return sums

    def _sorted(self, numbers: Array, count: int) -> tuple[Array, Array]:
        """Returns the order that sorts numbers, and where each one below ``count`` ends in it."""
        xp, flat = self._xp, numbers.reshape(-1)
        if not flat.size:
            return xp.empty(0, np.int64), xp.zeros(count, np.int64)
        order = xp.argsort(flat, kind="stable").astype(np.int64, copy=False)
        ends = xp.searchsorted(flat[order], xp.arange(count), side="right")
        return order, ends.astype(np.int64, copy=False)

    def _for_each(self, name: str, arguments: list[object], size: int) -> None:
        self._launch(name, -(-size // _THREADS), [*arguments, np.int64(size)])

    def _launch(self, name: str, blocks: int, arguments: list[object], shared: int = 0) -> None:
        if blocks:
            self._kernels.launch(name, blocks, _THREADS, arguments, shared)
