"""Products with a matrix whose rows are sums of a few rows of a table.

Row i of such a matrix ``(m, n)`` is ``sum over j of values[i, j] * table[units[i, j]]``. Without
values, all of them are 1. Units are packed as codes: ``units[i, j]`` is ``j * step`` plus integer
j of row i, so that with a step each j has rows of the table to itself. Kernels take codes as a
tuple: the packed codes, uint8 ``(m, row_bytes)``; the bits of a code; the step; and s, the number
of units in a row.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT, SUM
from nncompress.cpu.intrinsics import load
from nncompress.cpu.packed_numbers import read_numbers
from nncompress.cpu.permutes import TOGETHER, sum_by_codes
from nncompress.cpu.vectors import gather_sum, weighted_sum

_STRIP = 64  # columns to add up at a time
_TILE_ROWS = 16  # rows of sums to transpose into the result at a time


@njit(**INLINE)
def _address(array):
    return np.int64(array.ctypes.data)


@njit(**INLINE)
def _room(count):
    """Returns room for ``_read_units`` to write this many units."""
    return np.empty(count + 7, np.int32)


@njit(**INLINE)
def _read_units(codes, row, units):
    """Unpacks the units of a row; see ``_room``."""
    packed, bits, step, count = codes
    row_bytes = packed.shape[1]
    begin = row * row_bytes
    read_numbers(_address(packed) + begin, packed.size - begin, bits, 0, _address(units), count)
    if step:
        for j in range(count):
            units[j] += np.int32(j * step)


@njit(**INLINE)
def _add_up(total, start, rows, units, values, place, sizes):
    """Adds up rows, times their values from ``place`` on if there are any; see ``gather_sum``."""
    if values is None:
        gather_sum(total, start, rows, units, sizes)
    else:
        weighted_sum(total, start, rows, units, _address(values) + 4 * place, sizes)


@njit(**JIT)
def look_up(thread, threads, barrier, codes, values, table, ids, rows):
    """Adds up some rows of the matrix.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        codes: The packed codes, their bits, the step and s.
        values: float32 ``(m, s)``, or None.
        table: float32 ``(k, n)``.
        ids: Numbers of rows, int64, from 0 to m - 1.
        rows: float32 ``(len(ids), n)``, overwritten.
    """
    dim, count = table.shape[1], codes[3]
    units, start = _room(count), np.zeros(dim, np.float32)
    sizes = np.int64(count), np.int64(dim), np.int64(dim)
    for i in range(thread * ids.size // threads, (thread + 1) * ids.size // threads):
        _read_units(codes, ids[i], units)
        _add_up(
            _address(rows) + 4 * dim * i, _address(start), _address(table), _address(units),
            values, ids[i] * count, sizes,
        )  # fmt: skip


@njit(**JIT)
def multiply(thread, threads, barrier, codes, values, products, bias, out):
    """Multiplies by the matrix, given the products with its table.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows of the matrix do not depend on each other.
        codes: The packed codes, their bits, the step and s.
        values: float32 ``(m, s)``, or None.
        products: The table times the vectors to multiply, float32 ``(k, N)``.
        bias: float32 ``(m,)``, added to each row of the result.
        out: float32 ``(N, m)``, overwritten.
    """
    num_rows, num_columns, count = out.shape[1], products.shape[1], codes[3]
    begin, end = thread * num_rows // threads, (thread + 1) * num_rows // threads
    units, start = _room(count), np.zeros(_STRIP, np.float32)
    tile = np.empty((_TILE_ROWS, _STRIP), np.float32)
    for column in range(0, num_columns, _STRIP):
        width = min(_STRIP, num_columns - column)
        # Copied to adjacent memory, columns stay in the cache.
        strip = np.ascontiguousarray(products[:, column : column + width])
        sizes = np.int64(count), np.int64(width), np.int64(width)
        for first in range(begin, end, _TILE_ROWS):
            height = min(_TILE_ROWS, end - first)
            for i in range(height):
                row = first + i
                _read_units(codes, row, units)
                _add_up(
                    _address(tile) + 4 * _STRIP * i, _address(start), _address(strip),
                    _address(units), values, row * count, sizes,
                )  # fmt: skip
            for i in range(width):
                for j in range(height):
                    out[column + i, first + j] = tile[j, i] + bias[first + j]


@njit(**INLINE)
def _term(products, units, number, values, place, j):
    """Returns unit j's term in a sum, times its value (from ``place`` on) if there are any."""
    nothing = np.float32(0)
    product = load(nothing, products, np.int64(load(number, units, j)))
    if values is None:
        return product
    return load(nothing, _address(values) + 4 * place, j) * product


@njit(**JIT)
def multiply_vector(thread, threads, barrier, units, values, products, bias, out):
    """Does the same as ``multiply`` for a single vector.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used.
        units: uint16 or int32 ``(m, s)``.
        values: float32 ``(m, s)``, or None.
        products: The table times the vector, float32 ``(k,)``.
        bias: float32 ``(m,)``, added to the result.
        out: float32 ``(m,)``, overwritten.
    """
    num_rows, count = units.shape
    number = units.dtype.type(0)
    product, whole = _address(products), count // 4 * 4
    for row in range(thread * num_rows // threads, (thread + 1) * num_rows // threads):
        place = row * count
        own = _address(units) + units.itemsize * place
        one = two = three = four = np.float32(0)
        # Unrolled by hand: compilers gather these numbers with slower instructions.
        for j in range(0, whole, 4):
            one += _term(product, own, number, values, place, j)
            two += _term(product, own, number, values, place, j + 1)
            three += _term(product, own, number, values, place, j + 2)
            four += _term(product, own, number, values, place, j + 3)
        for j in range(whole, count):
            one += _term(product, own, number, values, place, j)
        out[row] = (one + two) + (three + four) + bias[row]


@njit(**JIT)
def multiply_vector_by_codes(thread, threads, barrier, by_place, step, products, bias, out):
    """Does the same as ``multiply_vector`` for small codes without values.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used.
        by_place: Codes by their place in a row, uint8 ``(s, M)``, below ``TABLE``, where M is at
            least m and a multiple of ``TOGETHER``.
        step: The number of the table's rows that each code chooses from.
        products: The table times the vector, float32 ``(k,)``, followed by ``TABLE`` arbitrary
            numbers.
        bias: float32 ``(m,)``, added to the result.
        out: float32 ``(m,)``, overwritten.
    """
    count, stride = by_place.shape
    sums = np.empty(TOGETHER, np.float32)
    sizes = np.int64(count), np.int64(step), np.int64(stride)
    steps = stride // TOGETHER
    for place in range(thread * steps // threads, (thread + 1) * steps // threads):
        first = place * TOGETHER
        sum_by_codes(_address(sums), _address(products), _address(by_place) + first, sizes)
        for i in range(min(TOGETHER, out.size - first)):
            out[first + i] = sums[i] + bias[first + i]


@njit(**SUM)
def gradients(codes, values, table, ids, of_rows, of_table, of_values):
    """Adds up the gradients of a table and of values, from those of rows that were looked up.

    Args:
        codes: The packed codes, their bits, the step and s.
        values: float32 ``(m, s)``, or None.
        table: float32 ``(k, n)``.
        ids: Numbers of rows, int64, from 0 to m - 1.
        of_rows: Gradients of the rows, float32 ``(len(ids), n)``.
        of_table: float32 ``(k, n)``, added to.
        of_values: float32 ``(m, s)``, added to; None if there are no values.
    """
    count = codes[3]
    units = _room(count)
    for i in range(ids.size):
        row, given = ids[i], of_rows[i]
        _read_units(codes, row, units)
        for j in range(count):
            unit = np.uint32(units[j])
            if values is None:
                for k in range(given.size):
                    of_table[unit, k] += given[k]
            else:
                value, total = values[row, j], np.float32(0)
                for k in range(given.size):
                    total += given[k] * table[unit, k]
                    of_table[unit, k] += value * given[k]
                of_values[row, j] += total
