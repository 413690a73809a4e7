"""What Numba lacks: BLAS by address, a barrier between threads, and the bits of a float."""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def _call_gemm(typingctx, address, transa, transb, sizes, scalars, pointers, strides):
    """Calls Fortran's gemm: C = op(A) op(B) + beta C, in column-major order."""
    kind = scalars.dtype

    def codegen(context, builder, signature, arguments):
        address, transa, transb, sizes, scalars, pointers, strides = arguments
        int32 = ir.IntType(32)
        real = ir.FloatType() if kind == types.float32 else ir.DoubleType()

        def by_reference(value, kind):
            slot = cgutils.alloca_once(builder, kind)
            builder.store(value, slot)
            return slot

        def integer(pack, index):
            return by_reference(builder.trunc(builder.extract_value(pack, index), int32), int32)

        def character(flag):
            letter = builder.select(flag, ir.Constant(ir.IntType(8), ord("T")),
                                    ir.Constant(ir.IntType(8), ord("N")))  # fmt: skip
            return by_reference(letter, ir.IntType(8))

        def pointer(index):
            return builder.inttoptr(builder.extract_value(pointers, index), real.as_pointer())

        m, n, k = (integer(sizes, index) for index in range(3))
        lda, ldb, ldc = (integer(strides, index) for index in range(3))
        alpha, beta = (
            by_reference(builder.extract_value(scalars, index), real) for index in range(2)
        )
        passed = [
            *(character(transa), character(transb), m, n, k, alpha, pointer(0), lda),
            *(pointer(1), ldb, beta, pointer(2), ldc),
        ]
        kinds = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        function = builder.inttoptr(address, kinds.as_pointer())
        builder.call(function, passed)
        return context.get_dummy_value()

    signature = types.void(address, transa, transb, sizes, scalars, pointers, strides)
    return signature, codegen


@njit(nogil=True, cache=True, inline="never")
def product(address, a, transpose_a, b, transpose_b, c, beta):
    """Computes ``c = op(a) @ op(b) + beta * c`` for row-major matrices whose rows may be apart.

    Args:
        address: Address of Fortran's gemm for the matrices' type.
        a: ``(m, k)``, or ``(k, m)`` if ``transpose_a``.
        transpose_a: Whether op transposes a.
        b: ``(k, n)``, or ``(n, k)`` if ``transpose_b``.
        transpose_b: Whether op transposes b.
        c: ``(m, n)``, overwritten.
        beta: Factor of what c held; 0 ignores it.
    """
    m, n = c.shape
    k = a.shape[0] if transpose_a else a.shape[1]
    # Column-major BLAS sees every matrix transposed, and computes the transpose of the product.
    # A leading dimension must be at least the row's length even where there is only one row.
    _call_gemm(
        address,
        transpose_b,
        transpose_a,
        (n, m, k),
        (c.dtype.type(1), c.dtype.type(beta)),
        (np.int64(b.ctypes.data), np.int64(a.ctypes.data), np.int64(c.ctypes.data)),
        (
            max(b.strides[0] // b.itemsize, b.shape[1]),
            max(a.strides[0] // a.itemsize, a.shape[1]),
            max(c.strides[0] // c.itemsize, c.shape[1]),
        ),
    )


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


_sched_yield = types.ExternalFunction("sched_yield", types.int32())

# A thread that waits longer than this lets others run: there may be more threads than cores.
_SPINS = 2_000


@njit(nogil=True, cache=True)
def wait_for_all(barrier, passed, threads):
    """Waits until every thread of the team is here.

    Args:
        barrier: int64 ``(1,)``, 0 when the team starts.
        passed: How many barriers this thread has passed.
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
                _sched_yield()
    return passed + 1
