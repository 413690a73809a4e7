"""Intrinsics that Numba lacks: a barrier between threads, bits of floats, numbers by address."""

import sys

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.cpu import cache


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
    """Returns a pointer to a number of a kind."""
    size = ir.IntType(64)(kind.bitwidth // 8)
    place = builder.add(address, builder.mul(index, size))
    return builder.inttoptr(place, context.get_value_type(kind).as_pointer())


@intrinsic
def load(typingctx, zero, address, index):
    """Reads a number of the type of ``zero``, ``index`` numbers after an address (int64)."""

    def codegen(context, builder, signature, arguments):
        _, address, index = arguments
        return builder.load(_place(context, builder, zero, address, index))

    return zero(zero, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, value, address, index):
    """Writes a number ``index`` numbers of its type after an address (int64)."""

    def codegen(context, builder, signature, arguments):
        number, address, index = arguments
        builder.store(number, _place(context, builder, value, address, index))
        return context.get_dummy_value()

    return types.void(value, types.int64, types.int64), codegen


@intrinsic
def choose(typingctx, condition, one, other):
    """Returns one number or the other of the same type, without a branch."""

    def codegen(context, builder, signature, arguments):
        result = builder.select(*arguments)
        result.set_metadata("unpredictable", builder.module.add_metadata([]))
        return result

    return one(types.boolean, one, one), codegen


def _extreme(name):
    """Makes an intrinsic of the larger or smaller of two floats, neither of which is NaN."""

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


# With ``max`` or a condition, compilers store the result only where it has changed, which on
# AMD's AVX2 takes as long as computing it; see ``product.py``.
larger, smaller = _extreme("maxnum"), _extreme("minnum")


@intrinsic
def _atomic_add(typingctx, pointer, value):
    """Adds to an int64 in memory and returns what it held."""

    def codegen(context, builder, signature, arguments):
        pointer, value = arguments
        target = builder.inttoptr(pointer, ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", target, value, "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _atomic_load(typingctx, pointer):
    """Reads an int64 that other threads write."""

    def codegen(context, builder, signature, arguments):
        target = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(target, "seq_cst", 8)

    return types.int64(types.int64), codegen


# Lets another thread run. LLVM finds both among what the process has loaded: POSIX's in libc, and
# Windows' in kernel32, which every process there has. Windows' has never been tested.
_yield_processor = types.ExternalFunction(
    "SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32()
)

# A thread that waits longer than this lets others run: there may be more threads than cores.
_SPINS = 2_000


@njit(nogil=True, cache=bool(cache.DIRECTORY))
def wait_for_all(barrier, passed, threads):
    """Waits until every thread of the team is here.

    Args:
        barrier: int64 ``(1,)``, 0 when the team starts.
        passed: Number of barriers that this thread has passed.
        threads: Size of the team.

    Returns:
        ``passed + 1``.
    """
    if threads > 1:
        pointer = np.int64(barrier.ctypes.data)
        _atomic_add(pointer, 1)
        wanted = threads * (passed + 1)
        spins = 0
        while _atomic_load(pointer) < wanted:
            spins += 1
            if spins > _SPINS:
                _yield_processor()
    return passed + 1
