"""Packing a matrix in the order in which a product reads it.

A panel has as many columns as a tile of the product. Its rows follow each other, and each consists
of a few whole vectors, so that the loop reads one stream from as few cache lines as possible, and
no stride between rows can make them displace each other there. The last panel is padded with
zeros.
"""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic, register_jitable

from nncompress.cpu.arena import on_a_line
from nncompress.cpu.elementary import JIT
from nncompress.cpu.target import REGISTERS, VECTOR_BYTES

# Vectors in a row of a panel.
PANEL_VECTORS = 4 if REGISTERS == 32 else 2
PANEL_BYTES = PANEL_VECTORS * VECTOR_BYTES
_SQUARE = 4  # rows and columns to transpose in registers


@register_jitable
def panel_numbers(rows, columns, size):
    """Returns how many numbers of ``size`` bytes a packed matrix takes."""
    width = PANEL_BYTES // size
    return (columns + width - 1) // width * width * rows


def packed(matrix: np.ndarray) -> np.ndarray:
    """Returns a matrix packed by NumPy, in new memory that is aligned to a cache line.

    This is for matrices that are packed only once, for which ``pack`` would have to be compiled.

    Args:
        matrix: float32 or float64 ``(rows, columns)``.

    Returns:
        The numbers of all panels, ``(panel_numbers(...),)``.
    """
    rows, columns = matrix.shape
    width = PANEL_BYTES // matrix.itemsize
    panels = on_a_line((-(-columns // width), rows, width), matrix.dtype)
    for panel, target in enumerate(panels):
        part = matrix[:, panel * width : (panel + 1) * width]
        target[:, : part.shape[1]] = part
        target[:, part.shape[1] :] = 0
    return panels.reshape(-1)


@intrinsic
def _copy_row(typingctx, source, target):
    """Copies a row of a panel from one address to another."""

    def codegen(context, builder, signature, arguments):
        vector = ir.VectorType(ir.FloatType(), VECTOR_BYTES // 4)
        places = [ir.IntType(64)(VECTOR_BYTES * i) for i in range(PANEL_VECTORS)]

        def at(address, place):
            return builder.inttoptr(builder.add(address, place), vector.as_pointer())

        row = [builder.load(at(arguments[0], place), align=4) for place in places]
        for vector_of_row, place in zip(row, places, strict=True):
            builder.store(vector_of_row, at(arguments[1], place), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@njit(**JIT)
def pack(source, target):
    """Packs a matrix.

    Args:
        source: ``(rows, columns)``, C-contiguous.
        target: Memory for at least ``panel_numbers(rows, columns, ...)`` numbers, overwritten.
    """
    rows, columns = source.shape
    size = source.itemsize
    width = PANEL_BYTES // size
    first, place = np.int64(source.ctypes.data), np.int64(target.ctypes.data)
    whole = columns // width * width
    for column in range(0, whole, width):
        for i in range(rows):
            _copy_row(first + (i * columns + column) * size, place)
            place += PANEL_BYTES
    if whole < columns:
        for i in range(rows):
            row, at = source[i], whole * rows + i * width
            for j in range(columns - whole):
                target[at + j] = row[whole + j]
            for j in range(columns - whole, width):
                target[at + j] = 0


@intrinsic
def _transpose_square(typingctx, zero, source, source_row, target, target_row):
    """Copies the transpose of four rows and columns.

    Args:
        typingctx: Numba's typing context.
        zero: 0 in the matrices' type.
        source: Address of the first number.
        source_row: Bytes from row to row.
        target: Address of the first number.
        target_row: Bytes from row to row.
    """
    kind = zero

    def codegen(context, builder, signature, arguments):
        _, source, source_row, target, target_row = arguments
        real, size = (ir.FloatType(), 4) if kind == types.float32 else (ir.DoubleType(), 8)
        vector = ir.VectorType(real, _SQUARE)

        def place(base, row_bytes, row):
            offset = builder.mul(row_bytes, ir.IntType(64)(row))
            return builder.inttoptr(builder.add(base, offset), vector.as_pointer())

        def mixed(one, other, order):
            numbers = ir.Constant(ir.VectorType(ir.IntType(32), _SQUARE), order)
            return builder.shuffle_vector(one, other, numbers)

        a, b, c, d = (
            builder.load(place(source, source_row, row), align=size) for row in range(_SQUARE)
        )
        low, high = (0, 4, 1, 5), (2, 6, 3, 7)
        ab, cd = mixed(a, b, low), mixed(c, d, low)
        ab_high, cd_high = mixed(a, b, high), mixed(c, d, high)
        first, last = (0, 1, 4, 5), (2, 3, 6, 7)
        columns = (
            mixed(ab, cd, first), mixed(ab, cd, last),
            mixed(ab_high, cd_high, first), mixed(ab_high, cd_high, last),
        )  # fmt: skip
        for row, column in enumerate(columns):
            builder.store(column, place(target, target_row, row), align=size)
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 4), codegen


@njit(**JIT)
def pack_transposed(source, target):
    """Packs the transpose of a matrix.

    Args:
        source: ``(columns, rows)``, C-contiguous.
        target: Memory for at least ``panel_numbers(rows, columns, ...)`` numbers, overwritten.
    """
    columns, rows = source.shape
    size = source.itemsize
    width = PANEL_BYTES // size
    zero = source.dtype.type(0)
    whole = rows // _SQUARE * _SQUARE
    base, place = np.int64(source.ctypes.data), np.int64(target.ctypes.data)
    for first in range(0, (columns + width - 1) // width * width, _SQUARE):
        at = first // width * width * rows + first % width
        if first + _SQUARE <= columns:
            for j in range(0, whole, _SQUARE):
                _transpose_square(
                    zero, base + (first * rows + j) * size, np.int64(rows * size),
                    place + (at + j * width) * size, np.int64(width * size),
                )  # fmt: skip
            for i in range(_SQUARE):
                for j in range(whole, rows):
                    target[at + j * width + i] = source[first + i, j]
        else:
            for i in range(_SQUARE):
                for j in range(rows):
                    number = zero
                    if first + i < columns:
                        number = source[first + i, j]
                    target[at + j * width + i] = number
