"""Matrix products of the sizes of a training step, as fast as the processor's vectors allow.

A tile of the result stays in vector registers while the loop goes through the common dimension,
with one multiply-add for each of its vectors and rows (Goto and van de Geijn, "Anatomy of
High-Performance Matrix Multiplication", ACM TOMS 2008, section 4). The right matrix is packed in
the order that ``panels.py`` defines, and a step packs each matrix once for all blocks that
multiply by it. The left matrix is read in place, a number at a time. Every element is summed in
the order of the common dimension, whatever part of the product is computed, so that no result
depends on how the work is divided.

Nothing here is masked, as a masked store takes tens of cycles on AMD's AVX2. Rows of panels are
whole vectors, and so are rows of tiles; a tile that extends beyond the matrix is computed
elsewhere and copied.
"""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.cpu.arena import LINE_BYTES
from nncompress.cpu.elementary import JIT
from nncompress.cpu.panels import PANEL_VECTORS
from nncompress.cpu.target import VECTOR_BYTES

_INT, _SHORT, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)
# Rows of a tile. The largest tile, a row of the right matrix and one number of the left must fit
# in the registers; it takes at least four rows of two vectors to start two multiply-adds a cycle,
# each of which takes four cycles.
_HIGH, _LOW = 6, 4
# Rows of the right matrix to go through at a time: with AVX2 those of a panel stay in the
# first-level cache, with AVX-512 they come from the second-level one, which is as fast.
_DEPTH = 384
# Operands of LLVM's prefetch: for writing, into all caches, data.
_FOR_WRITING = tuple(_SHORT(number) for number in (1, 3, 1))


@intrinsic
def _tile(typingctx, zero, height, vectors, inner, going_on, pointers, strides):
    """Computes a tile of a product.

    Args:
        typingctx: Numba's typing context.
        zero: 0 in the matrices' type.
        height: Rows of the tile: ``_HIGH``, ``_LOW`` or 1.
        vectors: Vectors in a row of the tile.
        inner: Length of the common dimension.
        going_on: True to add to the tile's contents, False to start from 0.
        pointers: Addresses of the first numbers of left matrix, right matrix and tile.
        strides: Numbers from row to row and from column to column of the left matrix, and from row
            to row of the tile.
    """
    kind = zero

    def codegen(context, builder, signature, arguments):
        real = ir.FloatType() if kind == types.float32 else ir.DoubleType()
        size = 4 if kind == types.float32 else 8
        lanes = VECTOR_BYTES // size
        vector = ir.VectorType(real, lanes)

        def external(name, result, *operands):
            return cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(result, operands), name
            )

        fma = external(f"llvm.fmuladd.v{lanes}f{8 * size}", vector, vector, vector, vector)
        prefetch = external(
            "llvm.prefetch.p0", ir.VoidType(), _BYTE.as_pointer(), _SHORT, _SHORT, _SHORT
        )
        _, height, vectors, inner, going_on, pointers, strides = arguments
        a, b, c = (builder.extract_value(pointers, i) for i in range(3))
        a_row, a_step, c_row = (
            builder.mul(builder.extract_value(strides, i), _INT(size)) for i in range(3)
        )
        nothing = ir.Constant(vector, [0.0] * lanes)
        zeros = ir.Constant(ir.VectorType(_SHORT, lanes), None)

        def at(address, offset, kind):
            return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

        def splat(value):
            undefined = ir.Constant(vector, ir.Undefined)
            return builder.shuffle_vector(
                builder.insert_element(undefined, value, _SHORT(0)), undefined, zeros
            )

        end = builder.append_basic_block("tile.end")
        unknown = builder.append_basic_block("tile.unknown")
        choice = builder.add(builder.mul(height, _INT(8)), vectors)
        switch = builder.switch(choice, unknown)
        builder.position_at_end(unknown)
        builder.unreachable()

        for rows in (_HIGH, _LOW, 1):
            for columns in range(1, PANEL_VECTORS + 1):
                start, before, loop, done = (
                    builder.append_basic_block(f"tile.{rows}x{columns}.{name}")
                    for name in ("start", "before", "loop", "done")
                )
                switch.add_case(_INT(8 * rows + columns), start)
                everywhere = [(row, column) for row in range(rows) for column in range(columns)]

                builder.position_at_end(start)
                # Rows are addressed relative to two of them, so that addresses need no arithmetic.
                half = (rows + 1) // 2
                offsets = [builder.mul(a_row, _INT(row)) for row in range(half)]
                second = builder.add(a, builder.mul(a_row, _INT(half)))
                c_rows = [builder.add(c, builder.mul(c_row, _INT(row))) for row in range(rows)]
                # The rows below are usually those of the next tile.
                below = builder.mul(c_row, _INT(rows))
                for row in range(rows):
                    for line in range(0, columns * VECTOR_BYTES, LINE_BYTES):
                        place = at(builder.add(c_rows[row], below), _INT(line), _BYTE)
                        builder.call(prefetch, [place, *_FOR_WRITING])
                builder.cbranch(going_on, before, loop)

                builder.position_at_end(before)
                held = {
                    (row, column): builder.load(
                        at(c_rows[row], _INT(column * VECTOR_BYTES), vector), align=size
                    )
                    for row, column in everywhere
                }
                builder.branch(loop)

                builder.position_at_end(loop)
                counters = [builder.phi(_INT) for _ in range(4)]
                _, upper, lower, right_at = counters
                for phi, value in zip(counters, (inner, a, second, b), strict=True):
                    phi.add_incoming(value, start)
                    phi.add_incoming(value, before)
                sums = {place: builder.phi(vector) for place in everywhere}
                right = [
                    builder.load(at(right_at, _INT(column * VECTOR_BYTES), vector), align=size)
                    for column in range(columns)
                ]
                totals = {}
                for row in range(rows):
                    base = upper if row < half else lower
                    left = splat(builder.load(at(base, offsets[row % half], real), align=size))
                    for column in range(columns):
                        phi = sums[row, column]
                        total = builder.call(fma, [left, right[column], phi])
                        phi.add_incoming(nothing, start)
                        phi.add_incoming(held[row, column], before)
                        phi.add_incoming(total, loop)
                        totals[row, column] = total
                changes = _INT(-1), a_step, a_step, _INT(PANEL_VECTORS * VECTOR_BYTES)
                following = [
                    builder.add(phi, change) for phi, change in zip(counters, changes, strict=True)
                ]
                for phi, value in zip(counters, following, strict=True):
                    phi.add_incoming(value, loop)
                builder.cbranch(builder.icmp_signed(">", following[0], _INT(0)), loop, done)

                builder.position_at_end(done)
                for (row, column), total in totals.items():
                    place = at(c_rows[row], _INT(column * VECTOR_BYTES), vector)
                    builder.store(total, place, align=size)
                builder.branch(end)

        builder.position_at_end(end)
        return context.get_dummy_value()

    signature = types.void(
        zero, types.int64, types.int64, types.int64, types.boolean, pointers, strides
    )
    return signature, codegen


@njit(**JIT)
def product(a, transpose_a, packed, c, accumulate):
    """Computes ``c = op(a) @ b``, or adds it to c.

    Args:
        a: ``(m, k)``, or ``(k, m)`` if ``transpose_a``; k at least 1. Its rows need not be
            adjacent.
        transpose_a: True if op transposes a.
        packed: b, ``(k, n)``, packed by ``panels.py``.
        c: ``(m, n)``, overwritten or added to. Its rows need not be adjacent.
        accumulate: True to add to c, False to overwrite it.
    """
    size = c.itemsize
    m, n = c.shape
    inner = a.shape[1]
    a_row, a_step = a.strides[0] // size, 1
    if transpose_a:
        inner = a.shape[0]
        a_row, a_step = a_step, a_row
    c_row = c.strides[0] // size
    first_a, first_b, first_c = a.ctypes.data, packed.ctypes.data, c.ctypes.data
    zero = c.dtype.type(0)
    lanes = VECTOR_BYTES // size
    width = PANEL_VECTORS * lanes
    beyond = np.empty((_HIGH if n % lanes else 0, width), c.dtype)
    for column in range(0, n, width):
        columns = min(width, n - column)
        vectors = (columns + lanes - 1) // lanes
        for first in range(0, inner, _DEPTH):
            going_on = accumulate or first > 0
            row = 0
            while row < m:
                left = m - row
                height = 1 if left < _LOW else _LOW if left < _HIGH or left == 2 * _LOW else _HIGH
                target, target_row = first_c + (row * c_row + column) * size, c_row
                if columns % lanes:
                    target, target_row = beyond.ctypes.data, width
                    if going_on:
                        for i in range(height):
                            for j in range(columns):
                                beyond[i, j] = c[row + i, column + j]
                pointers = (
                    np.int64(first_a + (row * a_row + first * a_step) * size),
                    np.int64(first_b + (column * inner + first * width) * size),
                    np.int64(target),
                )
                _tile(
                    zero, height, vectors, min(_DEPTH, inner - first), going_on, pointers,
                    (a_row, a_step, target_row),
                )  # fmt: skip
                if columns % lanes:
                    for i in range(height):
                        for j in range(columns):
                            c[row + i, column + j] = beyond[i, j]
                row += height
