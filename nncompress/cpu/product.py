"""Matrix products of the sizes that a training step has, as fast as the processor's vectors allow.

A library's product copies both matrices into an order of its own first, which costs much where a
batch is small, and keeps threads of its own. Here a tile of the result stays in vector registers
while the loop goes through the common dimension, with one multiply-add for each of its
vectors and rows (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM
TOMS 2008, section 4, without the copies). Every element is a sum in one order, whatever part of
the product is asked for, so that no result depends on how work is divided.
"""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.cpu.elementary import JIT
from nncompress.cpu.target import REGISTERS, VECTOR_BYTES

_INT = ir.IntType(64)


# The largest tile, a row of the right matrix and one number of the left have to fit into the
# registers.
_MOST_VECTORS = 4 if REGISTERS == 32 else 2
_HEIGHTS = (6, 4, 2, 1)


@intrinsic
def _tile(typingctx, zero, height, vectors, last, inner, accumulate, pointers, strides):
    """Computes a tile of a product.

    Args:
        typingctx: Numba's typing context.
        zero: 0 in the matrices' type.
        height: Rows of the tile, one of ``_HEIGHTS``.
        vectors: Vectors in a row of the tile.
        last: Number of elements of each row's last vector that belong to the tile.
        inner: Length of the common dimension.
        accumulate: True to add to the tile, False to overwrite it.
        pointers: Addresses of the first numbers of left matrix, right matrix and tile.
        strides: Numbers from row to row and from column to column of the left matrix, from row to
            row of the right one, and from row to row of the tile.
    """
    kind = zero

    def codegen(context, builder, signature, arguments):
        real = ir.FloatType() if kind == types.float32 else ir.DoubleType()
        size = 4 if kind == types.float32 else 8
        lanes = VECTOR_BYTES // size
        vector = ir.VectorType(real, lanes)
        flags = ir.VectorType(ir.IntType(1), lanes)
        suffix = f"v{lanes}f{8 * size}"
        module = builder.module

        def external(name, result, *operands):
            return cgutils.get_or_insert_function(module, ir.FunctionType(result, operands), name)

        fma = external(f"llvm.fmuladd.{suffix}", vector, vector, vector, vector)
        pointer_type = vector.as_pointer()
        int32 = ir.IntType(32)
        masked_load = external(
            f"llvm.masked.load.{suffix}.p0", vector, pointer_type, int32, flags, vector
        )
        masked_store = external(
            f"llvm.masked.store.{suffix}.p0", ir.VoidType(), vector, pointer_type, int32, flags
        )

        _, height, vectors, last, inner, accumulate, pointers, strides = arguments
        a, b, c = (builder.extract_value(pointers, i) for i in range(3))
        a_row, a_step, b_step, c_row = (builder.extract_value(strides, i) for i in range(4))

        def address(base, offset, kind):
            moved = builder.add(base, builder.mul(offset, _INT(size)))
            return builder.inttoptr(moved, kind.as_pointer())

        def splat(value, kind):
            first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, int32(0))
            zeros = ir.Constant(ir.VectorType(int32, lanes), [0] * lanes)
            return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)

        indices = ir.VectorType(_INT, lanes)
        counted = builder.icmp_unsigned(
            "<", ir.Constant(indices, list(range(lanes))), splat(last, indices)
        )
        all_flags = ir.Constant(flags, [1] * lanes)
        adding = splat(accumulate, flags)
        nothing = ir.Constant(vector, [0.0] * lanes)
        alignment = int32(size)

        def load(base, offset, mask):
            where = address(base, offset, vector)
            return builder.call(masked_load, [where, alignment, mask, nothing])

        end = builder.append_basic_block("tile.end")
        choice = builder.add(builder.mul(height, _INT(8)), vectors)
        unknown = builder.append_basic_block("tile.unknown")
        switch = builder.switch(choice, unknown)
        builder.position_at_end(unknown)
        builder.unreachable()

        for rows in _HEIGHTS:
            for columns in range(1, _MOST_VECTORS + 1):
                start = builder.append_basic_block(f"tile.{rows}x{columns}")
                loop = builder.append_basic_block(f"tile.{rows}x{columns}.loop")
                done = builder.append_basic_block(f"tile.{rows}x{columns}.done")
                switch.add_case(_INT(8 * rows + columns), start)
                masks = [all_flags] * (columns - 1) + [counted]

                builder.position_at_end(start)
                row_offsets = [builder.mul(a_row, _INT(row)) for row in range(rows)]
                builder.branch(loop)

                builder.position_at_end(loop)
                k = builder.phi(_INT)
                k.add_incoming(_INT(0), start)
                sums = [[builder.phi(vector) for _ in range(columns)] for _ in range(rows)]
                b_offset = builder.mul(k, b_step)
                right = [
                    load(b, builder.add(b_offset, _INT(column * lanes)), masks[column])
                    for column in range(columns)
                ]
                a_offset = builder.mul(k, a_step)
                for row in range(rows):
                    where = address(a, builder.add(a_offset, row_offsets[row]), real)
                    left = splat(builder.load(where, align=size), vector)
                    for column in range(columns):
                        phi = sums[row][column]
                        phi.add_incoming(nothing, start)
                        phi.add_incoming(builder.call(fma, [left, right[column], phi]), loop)
                following = builder.add(k, _INT(1))
                k.add_incoming(following, loop)
                builder.cbranch(builder.icmp_signed("<", following, inner), loop, done)

                builder.position_at_end(done)
                for row in range(rows):
                    for column in range(columns):
                        offset = builder.add(builder.mul(c_row, _INT(row)), _INT(column * lanes))
                        total = sums[row][column].incomings[1][0]
                        before = load(c, offset, builder.and_(masks[column], adding))
                        where = address(c, offset, vector)
                        value = builder.fadd(total, before)
                        builder.call(masked_store, [value, where, alignment, masks[column]])
                builder.branch(end)

        builder.position_at_end(end)
        return context.get_dummy_value()

    signature = types.void(
        zero, types.int64, types.int64, types.int64, types.int64, types.boolean, pointers, strides
    )
    return signature, codegen


@njit(**JIT)
def product(a, transpose_a, b, c, accumulate):
    """Computes ``c = op(a) @ b``, or adds it to c, for matrices whose rows may be apart.

    Args:
        a: ``(m, k)``, or ``(k, m)`` if ``transpose_a``; k at least 1.
        transpose_a: True if op transposes a.
        b: ``(k, n)``.
        c: ``(m, n)``, overwritten or added to.
        accumulate: True to add to c, False to overwrite it.
    """
    size = c.itemsize
    m, n = c.shape
    a_row, a_step = a.strides[0] // size, 1
    if transpose_a:
        a_row, a_step = a_step, a_row
    b_step, c_row = b.strides[0] // size, c.strides[0] // size
    strides = (a_row, a_step, b_step, c_row)
    first_a, first_b, first_c = a.ctypes.data, b.ctypes.data, c.ctypes.data
    lanes = VECTOR_BYTES // size
    zero = c.dtype.type(0)
    for column in range(0, n, _MOST_VECTORS * lanes):
        width = min(_MOST_VECTORS * lanes, n - column)
        vectors = (width + lanes - 1) // lanes
        last = width - (vectors - 1) * lanes
        row = 0
        while row < m:
            height = _HEIGHTS[0]
            for lower in _HEIGHTS[1:]:
                if height > m - row:
                    height = lower
            pointers = (
                np.int64(first_a + row * a_row * size),
                np.int64(first_b + column * size),
                np.int64(first_c + (row * c_row + column) * size),
            )
            _tile(zero, height, vectors, last, b.shape[0], accumulate, pointers, strides)
            row += height
