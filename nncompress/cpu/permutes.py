"""Sums of numbers that small codes choose from tables in vector registers.

This is for processors with ``target.PERMUTES``.
"""

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.cpu.target import VECTOR_BYTES

TABLE = 16  # numbers in a table, the most that a code can choose from
TOGETHER = 64  # sums, whose codes are adjacent
_LANES = VECTOR_BYTES // 4
_WIDE, _INT, _BYTE, _REAL = ir.IntType(64), ir.IntType(32), ir.IntType(8), ir.FloatType()


@intrinsic
def sum_by_codes(typingctx, totals, tables, codes, sizes):
    """Adds up the numbers that codes choose from tables.

    ``totals[i] = sum over m of tables[m * step + codes[m * stride + i]]``, i below ``TOGETHER``.

    Args:
        typingctx: Numba's typing context.
        totals: Address of float32.
        tables: Address of float32; ``TABLE`` of them can be read from the first of each table on.
        codes: Address of uint8, below ``TABLE``.
        sizes: The number of tables, the step and the stride, int64.
    """

    def codegen(context, builder, signature, arguments):
        totals, tables, codes, sizes = arguments
        count, step, stride = (builder.extract_value(sizes, i) for i in range(3))
        reals, ints = (ir.VectorType(kind, _LANES) for kind in (_REAL, _INT))
        bytes_ = ir.VectorType(_BYTE, _LANES)

        def load(base, offset, size, kind):
            place = builder.add(base, builder.mul(offset, _WIDE(size)))
            return builder.load(builder.inttoptr(place, kind.as_pointer()), align=size)

        def permute(values, places):
            name = "avx512.permvar.sf.512" if _LANES == TABLE else "avx2.permps"
            kind = ir.FunctionType(reals, [reals, ints])
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}")
            return builder.call(function, [values, places])

        def chosen(parts, places):
            found = permute(parts[0], places)
            if len(parts) == 1:
                return found
            high = builder.icmp_signed(">", places, ir.Constant(ints, [_LANES - 1] * _LANES))
            return builder.select(high, permute(parts[1], places), found)

        zero = ir.Constant(reals, [0.0] * _LANES)
        sums = [cgutils.alloca_once(builder, reals) for _ in range(0, TOGETHER, _LANES)]
        for slot in sums:
            builder.store(zero, slot)
        with cgutils.for_range_slice(builder, _WIDE(0), count, _WIDE(1), _WIDE) as (m, _):
            table, first = builder.mul(m, step), builder.mul(m, stride)
            parts = [
                load(tables, builder.add(table, _WIDE(i)), 4, reals)
                for i in range(0, TABLE, _LANES)
            ]
            for i, slot in enumerate(sums):
                own = load(codes, builder.add(first, _WIDE(i * _LANES)), 1, bytes_)
                found = chosen(parts, builder.zext(own, ints))
                builder.store(builder.fadd(builder.load(slot), found), slot)
        for i, slot in enumerate(sums):
            place = builder.add(totals, _WIDE(4 * i * _LANES))
            builder.store(builder.load(slot), builder.inttoptr(place, reals.as_pointer()), align=4)
        return context.get_dummy_value()

    address = types.int64
    return types.void(address, address, address, types.UniTuple(types.int64, 3)), codegen
