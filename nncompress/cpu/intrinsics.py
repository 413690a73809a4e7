"""Intrinsics that Numba lacks: bits of floats, numbers at addresses, choices without a branch."""

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def float_to_bits(typingctx, value):
    """Reinterprets a float32 as an int32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def bits_to_float(typingctx, value):
    """Reinterprets an int32 as a float32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


def _place(context, builder, kind, address, index):
    """Returns a pointer to a number of some type."""
    size = ir.IntType(64)(kind.bitwidth // 8)
    place = builder.add(address, builder.mul(index, size))
    return builder.inttoptr(place, context.get_value_type(kind).as_pointer())


@intrinsic
def load(typingctx, zero, address, index):
    """Reads a number of the type of ``zero``, ``index`` numbers after an address (an int64)."""

    def codegen(context, builder, signature, arguments):
        _, address, index = arguments
        return builder.load(_place(context, builder, zero, address, index))

    return zero(zero, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, value, address, index):
    """Writes a number ``index`` numbers of its type after an address (an int64)."""

    def codegen(context, builder, signature, arguments):
        number, address, index = arguments
        builder.store(number, _place(context, builder, value, address, index))
        return context.get_dummy_value()

    return types.void(value, types.int64, types.int64), codegen


@intrinsic
def choose(typingctx, condition, one, other):
    """Returns one of two numbers of the same type, without a branch."""

    def codegen(context, builder, signature, arguments):
        result = builder.select(*arguments)
        result.set_metadata("unpredictable", builder.module.add_metadata([]))
        return result

    return one(types.boolean, one, one), codegen


def _extreme(name):
    """Returns an intrinsic for the larger or smaller of two floats, neither of which is NaN."""

    @intrinsic
    def extreme(typingctx, one, other):
        def codegen(context, builder, signature, arguments):
            kind = arguments[0].type
            suffix = "f32" if one == types.float32 else "f64"
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind, kind]), f"llvm.{name}.{suffix}"
            )
            return builder.call(function, arguments, fastmath=("nnan", "nsz"))

        return one(one, one), codegen

    return extreme


# With ``max`` or a condition, compilers store the result only if it has changed, which takes as
# long as computing it on AMD's AVX2; see ``product.py``.
larger, smaller = _extreme("maxnum"), _extreme("minnum")
