"""Operations on rows of floats that stay in vector registers, through LLVM.

Compilers do badly at loops as short as a group of codewords is. These take addresses, and any
length: what is left of the last vector is masked out.
"""

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.cpu.target import VECTOR_BYTES

_LANES = VECTOR_BYTES // 4
_WIDE, _INT, _REAL = ir.IntType(64), ir.IntType(32), ir.FloatType()
_VECTOR, _INTS = ir.VectorType(_REAL, _LANES), ir.VectorType(_INT, _LANES)
_FLAGS = ir.VectorType(ir.IntType(1), _LANES)
_SHORTS, _HALVES = (ir.VectorType(kind, _LANES) for kind in (ir.IntType(16), ir.HalfType()))
_POINTER = _VECTOR.as_pointer()
_ZERO = ir.Constant(_VECTOR, [0.0] * _LANES)
_INFINITY = ir.Constant(_VECTOR, [float("inf")] * _LANES)
_STEPS = ir.Constant(_INTS, list(range(_LANES)))
_SUMS = 4  # at once: one alone would wait for each addition to end


class _Emitter:
    """Writes LLVM code for vectors of ``_LANES`` floats."""

    def __init__(self, builder) -> None:
        self.builder = builder

    def external(self, name, result, *operands):
        kind = ir.FunctionType(result, operands)
        return cgutils.get_or_insert_function(self.builder.module, kind, name)

    def address(self, base, offset, kind=_POINTER):
        """Returns where float (or int32) number ``offset`` after ``base`` is."""
        builder = self.builder
        return builder.inttoptr(builder.add(base, builder.mul(offset, _WIDE(4))), kind)

    def splat(self, value, kind):
        undefined = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(undefined, value, _INT(0))
        zeros = ir.Constant(_INTS, [0] * _LANES)
        return self.builder.shuffle_vector(one, undefined, zeros)

    def numbers(self, first):
        """Returns ``first, first + 1, ...`` as int32."""
        return self.builder.add(_STEPS, self.splat(self.builder.trunc(first, _INT), _INTS))

    def below(self, numbers, length):
        limit = self.splat(self.builder.trunc(length, _INT), _INTS)
        return self.builder.icmp_signed("<", numbers, limit)

    def load(self, base, offset, mask, otherwise):
        name = f"llvm.masked.load.v{_LANES}f32.p0"
        function = self.external(name, _VECTOR, _POINTER, _INT, _FLAGS, _VECTOR)
        return self.builder.call(function, [self.address(base, offset), _INT(4), mask, otherwise])

    def load_halves(self, base, offset, mask=None):
        """Loads uint16 number ``offset`` after ``base`` and those that follow, 0 without flag."""
        place = self.builder.add(base, self.builder.mul(offset, _WIDE(2)))
        pointer = self.builder.inttoptr(place, _SHORTS.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=2)
        name = f"llvm.masked.load.v{_LANES}i16.p0"
        kinds = _SHORTS.as_pointer(), _INT, _FLAGS, _SHORTS
        nothing = ir.Constant(_SHORTS, [0] * _LANES)
        function = self.external(name, _SHORTS, *kinds)
        return self.builder.call(function, [pointer, _INT(2), mask, nothing])

    def store(self, value, base, offset, mask):
        name = f"llvm.masked.store.v{_LANES}f32.p0"
        function = self.external(name, ir.VoidType(), _VECTOR, _POINTER, _INT, _FLAGS)
        self.builder.call(function, [value, self.address(base, offset), _INT(4), mask])


@intrinsic
def least(typingctx, table, noise, temperature, length):
    """Returns which ``table[k] - temperature * noise[k]`` is least, the first among equals.

    Args:
        typingctx: Numba's typing context.
        table: Address of ``length`` float32.
        noise: Address of ``length`` float32, all finite.
        temperature: float32.
        length: At least 1.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        table, noise, temperature, length = arguments
        multiply_add = emit.external(f"llvm.fmuladd.v{_LANES}f32", *[_VECTOR] * 4)
        factor = emit.splat(builder.fneg(temperature), _VECTOR)
        values = cgutils.alloca_once_value(builder, _INFINITY)
        places = cgutils.alloca_once_value(builder, _STEPS)
        with cgutils.for_range_slice(builder, _WIDE(0), length, _WIDE(_LANES), _WIDE) as (k, _):
            numbers = emit.numbers(k)
            mask = emit.below(numbers, length)
            draws, costs = emit.load(noise, k, mask, _ZERO), emit.load(table, k, mask, _INFINITY)
            value = builder.call(multiply_add, [draws, factor, costs])
            less = builder.fcmp_ordered("<", value, builder.load(values))
            builder.store(builder.select(less, value, builder.load(values)), values)
            builder.store(builder.select(less, numbers, builder.load(places)), places)
        smallest = builder.call(
            emit.external(f"llvm.vector.reduce.fmin.v{_LANES}f32", _REAL, _VECTOR),
            [builder.load(values)],
            fastmath=("nnan",),
        )
        equal = builder.fcmp_ordered("==", builder.load(values), emit.splat(smallest, _VECTOR))
        never = ir.Constant(_INTS, [0x7FFFFFFF] * _LANES)
        return builder.call(
            emit.external(f"llvm.vector.reduce.umin.v{_LANES}i32", _INT, _INTS),
            [builder.select(equal, builder.load(places), never)],
        )

    return types.int32(types.int64, types.int64, types.float32, types.int64), codegen


@intrinsic
def exchange(typingctx, table, new, old, length):
    """Computes ``table[k] += new[k] - old[k]`` for k below ``length``.

    Args:
        typingctx: Numba's typing context.
        table: Address of ``length`` float32.
        new: Address of ``length`` float32.
        old: Address of ``length`` float32.
        length: Number of elements, int64.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        table, new, old, length = arguments

        def at(base, k, kind):
            return builder.load(emit.address(base, k, kind), align=4)

        def changed(k, kind):
            difference = builder.fsub(at(new, k, kind), at(old, k, kind))
            return builder.fadd(at(table, k, kind), difference)

        step = _SUMS * _LANES
        whole = builder.and_(length, _WIDE(-step))
        with cgutils.for_range_slice(builder, _WIDE(0), whole, _WIDE(step), _WIDE) as (k, _):
            places = [builder.add(k, _WIDE(i * _LANES)) for i in range(_SUMS)]
            results = [changed(place, _POINTER) for place in places]
            for place, result in zip(places, results, strict=True):
                builder.store(result, emit.address(table, place), align=4)
        one = _REAL.as_pointer()
        with cgutils.for_range_slice(builder, whole, length, _WIDE(1), _WIDE) as (k, _):
            builder.store(changed(k, one), emit.address(table, k, one), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def gather_sum(typingctx, total, start, rows, units, constant, sizes):
    """Adds up rows that are chosen by number.

    ``total[k] = constant + start[k] + sum over m of rows[units[m], k]`` for k below the length.

    Args:
        typingctx: Numba's typing context.
        total: Address of the sums, float32, as many as the length says.
        start: Address of the numbers to begin with, float32, as many as the length says.
        rows: Address of the first of the columns that are meant, of a float32 matrix.
        units: Address of the rows' numbers, int32.
        constant: A number that is added to each sum, float32.
        sizes: The number of units, the length, and the matrix's number of columns, int64.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        total, start, rows, units, constant, sizes = arguments
        count, length, columns = (builder.extract_value(sizes, i) for i in range(3))
        with cgutils.for_range_slice(builder, _WIDE(0), length, _WIDE(_LANES), _WIDE) as (k, _):
            mask = emit.below(emit.numbers(k), length)
            sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(_SUMS)]
            builder.store(emit.load(start, k, mask, _ZERO), sums[0])
            builder.store(emit.splat(constant, _VECTOR), sums[1])
            for slot in sums[2:]:
                builder.store(_ZERO, slot)

            def add(other, slot, k=k, mask=mask):
                unit = builder.load(emit.address(units, other, _INT.as_pointer()))
                place = builder.add(builder.mul(builder.sext(unit, _WIDE), columns), k)
                found = emit.load(rows, place, mask, _ZERO)
                builder.store(builder.fadd(builder.load(slot), found), slot)

            whole = builder.and_(count, _WIDE(-_SUMS))
            with cgutils.for_range_slice(builder, _WIDE(0), whole, _WIDE(_SUMS), _WIDE) as (m, _):
                for i, slot in enumerate(sums):
                    add(builder.add(m, _WIDE(i)), slot)
            with cgutils.for_range_slice(builder, whole, count, _WIDE(1), _WIDE) as (m, _):
                add(m, sums[0])
            first, second, third, fourth = (builder.load(slot) for slot in sums)
            result = builder.fadd(builder.fadd(first, second), builder.fadd(third, fourth))
            emit.store(result, total, k, mask)
        return context.get_dummy_value()

    address = types.int64
    signature = types.void(
        address, address, address, address, types.float32, types.UniTuple(types.int64, 3)
    )
    return signature, codegen


@intrinsic
def sum_rows(typingctx, zero, total, rows, units, sizes):
    """Adds up rows that are chosen by number, the first one first.

    ``total[k] = sum over m of rows[units[m], k]`` for k below the length.

    Args:
        typingctx: Numba's typing context.
        zero: 0 in the matrix's type: float32, or uint16 for the bits of float16 numbers.
        total: Address of the sums, float32, as many as the length says.
        rows: Address of the matrix.
        units: Address of the rows' numbers, int32.
        sizes: The number of units, the length, and the matrix's number of columns, int64.
    """
    halves = zero == types.uint16

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        _, total, rows, units, sizes = arguments
        count, length, columns = (builder.extract_value(sizes, i) for i in range(3))

        def load(at, mask):
            if halves:
                bits = emit.load_halves(rows, at, mask)
                return builder.fpext(builder.bitcast(bits, _HALVES), _VECTOR)
            if mask is None:
                return builder.load(emit.address(rows, at), align=4)
            return emit.load(rows, at, mask, _ZERO)

        def add_up(k, ways, mask=None):
            """Computes ``ways`` vectors of the total, from number ``k`` on."""
            places = [_WIDE(way * _LANES) for way in range(ways)]
            sums = [cgutils.alloca_once_value(builder, _ZERO) for _ in places]
            for slot in sums:
                builder.store(_ZERO, slot)
            with cgutils.for_range_slice(builder, _WIDE(0), count, _WIDE(1), _WIDE) as (m, _):
                unit = builder.load(emit.address(units, m, _INT.as_pointer()))
                start = builder.add(builder.mul(builder.sext(unit, _WIDE), columns), k)
                for place, slot in zip(places, sums, strict=True):
                    found = load(builder.add(start, place), mask)
                    builder.store(builder.fadd(builder.load(slot), found), slot)
            for place, slot in zip(places, sums, strict=True):
                at = builder.add(k, place)
                if mask is None:
                    builder.store(builder.load(slot), emit.address(total, at), align=4)
                else:
                    emit.store(builder.load(slot), total, at, mask)

        done = _WIDE(0)
        for ways in (_SUMS, 1):
            step = _WIDE(ways * _LANES)
            rest = builder.sub(length, done)
            reached = builder.add(done, builder.mul(builder.udiv(rest, step), step))
            with cgutils.for_range_slice(builder, done, reached, step, _WIDE) as (k, _):
                add_up(k, ways)
            done = reached
        with builder.if_then(builder.icmp_signed("<", done, length)):
            add_up(done, 1, emit.below(emit.numbers(done), length))
        return context.get_dummy_value()

    address = types.int64
    signature = types.void(zero, address, address, address, types.UniTuple(types.int64, 3))
    return signature, codegen
