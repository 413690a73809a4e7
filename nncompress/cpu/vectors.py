"""Operations on rows of floats that stay in vector registers, through LLVM.

Compilers handle loops as short as a group of codewords badly. These functions take addresses and
any length: the rest of the last vector is masked out.
"""

import llvmlite.ir as ir
import numpy as np
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
_LARGEST = float(np.finfo(np.float32).max)
_STEPS = ir.Constant(_INTS, list(range(_LANES)))
_SUMS = 4  # at once: a single one would wait for each addition to end
TOGETHER = 4  # rows of 16 numbers for each sum that ``add_branch`` keeps
_BLOCK, _WIDE_BLOCK = 16, 64  # numbers in a row that stay in registers: the usual K, and more


class _Emitter:
    """Writes LLVM code for vectors of ``_LANES`` floats."""

    def __init__(self, builder) -> None:
        self.builder = builder

    def external(self, name, result, *operands):
        kind = ir.FunctionType(result, operands)
        return cgutils.get_or_insert_function(self.builder.module, kind, name)

    def address(self, base, offset, kind=_POINTER):
        """Returns the address of float (or int32) number ``offset`` after ``base``."""
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

    def lower(self, one, other):
        return self.builder.select(self.builder.fcmp_ordered("<", one, other), one, other)

    def higher(self, one, other):
        return self.builder.select(self.builder.fcmp_ordered(">", one, other), one, other)

    def load(self, base, offset, mask, otherwise):
        name = f"llvm.masked.load.v{_LANES}f32.p0"
        function = self.external(name, _VECTOR, _POINTER, _INT, _FLAGS, _VECTOR)
        return self.builder.call(function, [self.address(base, offset), _INT(4), mask, otherwise])

    def load_halves(self, base, offset, mask=None):
        """Loads uint16 number ``offset`` after ``base`` and those after it; 0 where masked out."""
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

    def for_each(self, target, length, compute):
        """Fills ``length`` floats from ``target`` on, several vectors at a time.

        Args:
            target: Address of the floats.
            length: The number of floats.
            compute: Takes the indices of floats, and the type of as many vectors (or floats, at
                the end); returns their values.
        """
        builder, done = self.builder, _WIDE(0)
        for size, kind in (
            (_SUMS * _LANES, _POINTER),
            (_LANES, _POINTER),
            (1, _REAL.as_pointer()),
        ):
            step = 1 if size == 1 else _LANES
            reached = builder.and_(length, _WIDE(-size))
            with cgutils.for_range_slice(builder, done, reached, _WIDE(size), _WIDE) as (k, _):
                places = [builder.add(k, _WIDE(i)) for i in range(0, size, step)]
                for place, result in zip(places, compute(places, kind), strict=True):
                    builder.store(result, self.address(target, place, kind), align=4)
            done = reached


@intrinsic
def better(typingctx, table, noise, temperature, margin, code, length):
    """Returns the k with the smallest ``value[k]``, the first of equals, if it is an improvement.

    It is one if its value is below ``value[code] - margin``; otherwise the result is ``code``.
    Each ``value`` is ``table - temperature * noise``, or just the table if noise is None.

    Args:
        typingctx: Numba's typing context.
        table: Address of ``length`` float32.
        noise: Address of ``length`` float32, all finite, or None.
        temperature: float32.
        margin: float32, not negative.
        code: int64.
        length: At least 1.
    """
    plain = isinstance(noise, types.NoneType)

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        table, noise, temperature, margin, code, length = arguments
        negative = builder.fneg(temperature)
        times = emit.splat(negative, _VECTOR)

        def value(load, factor=times):
            if plain:
                return load(table)
            kind = factor.type
            name = "f32" if kind == _REAL else f"v{_LANES}f32"
            multiply_add = emit.external(f"llvm.fmuladd.{name}", *[kind] * 4)
            return builder.call(multiply_add, [load(noise), factor, load(table)])

        def at(k):
            return value(lambda base: builder.load(emit.address(base, k), align=4))

        def number(base):
            return builder.load(emit.address(base, code, _REAL.as_pointer()))

        def rest(k):
            """Computes the values of the last vector, infinite past the end."""
            mask = emit.below(emit.numbers(k), length)
            found = value(lambda base: emit.load(base, k, mask, _ZERO))
            return builder.select(mask, found, _INFINITY)

        def smallest(vector):
            reduce = emit.external(f"llvm.vector.reduce.fmin.v{_LANES}f32", _REAL, _VECTOR)
            return emit.splat(builder.call(reduce, [vector], fastmath=("nnan",)), _VECTOR)

        def first_bit(bits):
            return builder.zext(builder.cttz(bits, cgutils.true_bit), _WIDE)

        def is_set(bits):
            return builder.icmp_unsigned("!=", bits, bits.type(0))

        limit = emit.splat(builder.fsub(value(number, negative), margin), _VECTOR)
        result = cgutils.alloca_once(builder, _WIDE)
        builder.store(code, result)

        def look_at_the_usual():
            """Handles ``_BLOCK`` values, which stay in registers."""
            values = [at(_WIDE(k)) for k in range(0, _BLOCK, _LANES)]

            def flags(compare, with_):
                bits = _INT(0)
                for i, found in enumerate(values):
                    flag = builder.bitcast(
                        builder.fcmp_ordered(compare, found, with_), ir.IntType(_LANES)
                    )
                    wide = builder.zext(flag, _INT)
                    bits = builder.or_(bits, builder.shl(wide, _INT(i * _LANES)))
                return bits

            bits = flags("<", limit)
            with builder.if_then(is_set(bits), likely=False):
                builder.store(first_bit(bits), result)
                with builder.if_then(is_set(builder.and_(bits, builder.sub(bits, _INT(1))))):
                    low = values[0]
                    for found in values[1:]:
                        low = emit.lower(found, low)
                    builder.store(first_bit(flags("==", smallest(low))), result)

        def look():
            """Checks whether any value is better, then finds the smallest, and then its place."""
            whole = builder.and_(length, _WIDE(-_LANES))
            blocks = builder.and_(length, _WIDE(-_SUMS * _LANES))
            odd = builder.icmp_signed("<", whole, length)
            lows = [cgutils.alloca_once(builder, _VECTOR) for _ in range(_SUMS)]
            for slot in lows:
                builder.store(_INFINITY, slot)

            def take(found, slot):
                builder.store(emit.lower(found, builder.load(slot)), slot)

            with cgutils.for_range_slice(
                builder, _WIDE(0), blocks, _WIDE(_SUMS * _LANES), _WIDE
            ) as (k, _):
                for i, slot in enumerate(lows):
                    take(at(builder.add(k, _WIDE(i * _LANES))), slot)
            with cgutils.for_range_slice(builder, blocks, whole, _WIDE(_LANES), _WIDE) as (k, _):
                take(at(k), lows[0])
            with builder.if_then(odd, likely=False):
                take(rest(whole), lows[0])
            one, two, three, four = (builder.load(slot) for slot in lows)
            low = emit.lower(emit.lower(one, two), emit.lower(three, four))
            found = builder.bitcast(builder.fcmp_ordered("<", low, limit), ir.IntType(_LANES))
            with builder.if_then(is_set(found), likely=False):
                low = smallest(low)

                def find(k, values):
                    equal = builder.fcmp_ordered("==", values, low)
                    bits = builder.bitcast(equal, ir.IntType(_LANES))
                    place = builder.add(k, first_bit(bits))
                    builder.store(
                        builder.select(is_set(bits), place, builder.load(result)), result
                    )

                with builder.if_then(odd, likely=False):
                    find(whole, rest(whole))
                # From the end, so that the first one is kept.
                with cgutils.for_range_slice(builder, _WIDE(0), whole, _WIDE(_LANES), _WIDE) as (
                    done,
                    _,
                ):
                    k = builder.sub(whole, builder.add(done, _WIDE(_LANES)))
                    find(k, at(k))

        usual = builder.icmp_signed("==", length, _WIDE(_BLOCK))
        with builder.if_else(usual, likely=True) as (then, otherwise):
            with then:
                look_at_the_usual()
            with otherwise:
                look()
        return builder.load(result)

    address, real = types.int64, types.float32
    return types.int64(address, noise, real, real, types.int64, types.int64), codegen


@intrinsic
def exchange(typingctx, total, table, new, old, length):
    """Computes ``total[k] = table[k] + new[k] - old[k]`` for k below ``length``.

    Args:
        typingctx: Numba's typing context.
        total: Address of ``length`` float32; may be that of the table.
        table: Address of ``length`` float32.
        new: Address of ``length`` float32.
        old: Address of ``length`` float32.
        length: Number of elements, int64.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        total, table, new, old, length = arguments

        def at(base, k, kind):
            return builder.load(emit.address(base, k, kind), align=4)

        def changed(places, kind):
            return [
                builder.fadd(at(table, k, kind), builder.fsub(at(new, k, kind), at(old, k, kind)))
                for k in places
            ]

        emit.for_each(total, length, changed)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def add(typingctx, table, row, length):
    """Computes ``table[k] = table[k] + row[k]`` for k below ``length``.

    Args:
        typingctx: Numba's typing context.
        table: Address of ``length`` float32.
        row: Address of ``length`` float32.
        length: Number of elements, int64.
    """

    def codegen(context, builder, signature, arguments):
        table, row, length = arguments
        emit = _Emitter(builder)

        def sums(places, kind):
            numbers = [
                [builder.load(emit.address(base, k, kind), align=4) for base in (table, row)]
                for k in places
            ]
            return [builder.fadd(*pair) for pair in numbers]

        emit.for_each(table, length, sums)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


def _emit_sum_of_rows(builder, total, start, rows, units, weights, sizes):
    """Writes the code of ``gather_sum``, or of ``weighted_sum`` if there are weights."""
    emit = _Emitter(builder)
    count, length, columns = (builder.extract_value(sizes, i) for i in range(3))

    def add_up(k, ways, mask=None):
        """Computes ``ways`` vectors of the total, from number ``k`` on."""
        parts = max(1, _SUMS // ways)  # of each sum, so that additions do not wait
        places = [builder.add(k, _WIDE(way * _LANES)) for way in range(ways)]

        def load(base, at):
            if mask is None:
                return builder.load(emit.address(base, at), align=4)
            return emit.load(base, at, mask, _ZERO)

        sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in places] for _ in range(parts)]
        for i, slots in enumerate(sums):
            for place, slot in zip(places, slots, strict=True):
                first = load(start, place) if i == 0 else _ZERO
                builder.store(first, slot)

        def add(other, slots):
            unit = builder.load(emit.address(units, other, _INT.as_pointer()))
            begin = builder.mul(builder.sext(unit, _WIDE), columns)
            if weights is not None:
                weight = builder.load(emit.address(weights, other, _REAL.as_pointer()), align=4)
                factor = emit.splat(weight, _VECTOR)
                multiply_add = emit.external(f"llvm.fmuladd.v{_LANES}f32", *[_VECTOR] * 4)
            for place, slot in zip(places, slots, strict=True):
                found, known = load(rows, builder.add(begin, place)), builder.load(slot)
                if weights is None:
                    builder.store(builder.fadd(known, found), slot)
                else:
                    builder.store(builder.call(multiply_add, [found, factor, known]), slot)

        whole = builder.and_(count, _WIDE(-parts))
        with cgutils.for_range_slice(builder, _WIDE(0), whole, _WIDE(parts), _WIDE) as (m, _):
            for i, slots in enumerate(sums):
                add(builder.add(m, _WIDE(i)), slots)
        if parts > 1:
            with cgutils.for_range_slice(builder, whole, count, _WIDE(1), _WIDE) as (m, _):
                add(m, sums[0])
        for way, place in enumerate(places):
            found = [builder.load(slots[way]) for slots in sums]
            while len(found) > 1:
                found = [builder.fadd(*found[i : i + 2]) for i in range(0, len(found), 2)]
            if mask is None:
                builder.store(found[0], emit.address(total, place), align=4)
            else:
                emit.store(found[0], total, place, mask)

    widest = _WIDE_BLOCK if weights is None else max(_WIDE_BLOCK, 8 * _LANES)
    done = _WIDE(0)
    for size in dict.fromkeys((widest, _WIDE_BLOCK, _BLOCK, _LANES)):
        reached = builder.and_(length, _WIDE(-size))
        with cgutils.for_range_slice(builder, done, reached, _WIDE(size), _WIDE) as (k, _):
            add_up(k, size // _LANES)
        done = reached
    with builder.if_then(builder.icmp_signed("<", done, length), likely=False):
        add_up(done, 1, emit.below(emit.numbers(done), length))


@intrinsic
def gather_sum(typingctx, total, start, rows, units, sizes):
    """Adds up rows chosen by number.

    ``total[k] = start[k] + sum over m of rows[units[m], k]`` for k below the length.

    Args:
        typingctx: Numba's typing context.
        total: Address of the sums, float32, as many as the length.
        start: Address of the initial values, float32, as many as the length.
        rows: Address of the first column to use, in the first row of a float32 matrix.
        units: Address of the rows' numbers, int32.
        sizes: The number of units, the length, and the matrix's number of columns, int64.
    """

    def codegen(context, builder, signature, arguments):
        *addresses, sizes = arguments
        _emit_sum_of_rows(builder, *addresses, None, sizes)
        return context.get_dummy_value()

    address = types.int64
    signature = types.void(address, address, address, address, types.UniTuple(types.int64, 3))
    return signature, codegen


@intrinsic
def weighted_sum(typingctx, total, start, rows, units, weights, sizes):
    """Adds up rows chosen by number, each times its weight.

    This is ``gather_sum`` with ``weights[m] * rows[units[m], k]``.

    Args:
        typingctx: Numba's typing context.
        total: Address of the sums.
        start: Address of the initial values.
        rows: Address of the first column to use, in the first row.
        units: Address of the rows' numbers.
        weights: Address of a float32 for each unit.
        sizes: The number of units, the length, and the matrix's number of columns, int64.
    """

    def codegen(context, builder, signature, arguments):
        _emit_sum_of_rows(builder, *arguments)
        return context.get_dummy_value()

    address = types.int64
    return types.void(*[address] * 5, types.UniTuple(types.int64, 3)), codegen


@intrinsic
def add_branch(typingctx, total, lows, sums, rows, units, constant, sizes):
    """Adds up rows chosen by number, continuing from partial sums that are already known.

    ``sums[s]`` is the sum of the first ``s`` rows (``4 * s`` rows if the length is 16, as a loop
    would cost more than such short rows), and of a row that precedes them.
    ``total[k] = constant + sums[...][k] + the remaining rows``, of ``count`` in all, and
    ``lows[j] = min(lows[j], total[j], total[j + 16], ...)`` for j below 16.

    Args:
        typingctx: Numba's typing context.
        total: Address of the sums, float32, as many as the length.
        lows: Address of 16 float32.
        sums: Address of the partial sums, float32, each as long as the length; those that are not
            known yet are written.
        rows: Address of a float32 matrix with as many columns as the length.
        units: Address of the rows' numbers, int32.
        constant: A number to add to each sum, float32.
        sizes: The number of ``sums`` known after the first, the number that will be, the count,
            and the length, a multiple of 16; int64.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        total, lows, sums, rows, units, constant, sizes = arguments
        known, levels, count, length = (builder.extract_value(sizes, i) for i in range(4))
        added = emit.splat(constant, _VECTOR)

        def read(base, at):
            return builder.load(emit.address(base, at), align=4)

        least = [cgutils.alloca_once(builder, _VECTOR) for _ in range(_BLOCK // _LANES)]
        for i, slot in enumerate(least):
            builder.store(read(lows, _WIDE(i * _LANES)), slot)

        def add_up(k, size, step):
            """Computes ``size`` numbers of the total, from number ``k`` on."""
            places = [builder.add(k, _WIDE(i)) for i in range(0, size, _LANES)]
            slots = [cgutils.alloca_once(builder, _VECTOR) for _ in places]
            begin = builder.mul(known, length)
            for place, slot in zip(places, slots, strict=True):
                builder.store(read(sums, builder.add(begin, place)), slot)

            def row(number):
                unit = builder.load(emit.address(units, number, _INT.as_pointer()))
                begin = builder.mul(builder.sext(unit, _WIDE), length)
                return [read(rows, builder.add(begin, place)) for place in places]

            def add(vectors):
                for vector, slot in zip(vectors, slots, strict=True):
                    builder.store(builder.fadd(builder.load(slot), vector), slot)

            one = _WIDE(1)
            with cgutils.for_range_slice(builder, known, levels, one, _WIDE) as (level, _):
                first = builder.mul(level, _WIDE(step))
                following = builder.add(level, one)
                found = [row(builder.add(first, _WIDE(i))) for i in range(step)]
                while len(found) > 1:
                    found = [
                        [builder.fadd(*both) for both in zip(*found[i : i + 2], strict=True)]
                        for i in range(0, len(found), 2)
                    ]
                add(found[0])
                begin = builder.mul(following, length)
                for place, slot in zip(places, slots, strict=True):
                    where = emit.address(sums, builder.add(begin, place))
                    builder.store(builder.load(slot), where, align=4)
            last = builder.mul(levels, _WIDE(step))
            with cgutils.for_range_slice(builder, last, count, one, _WIDE) as (number, _):
                add(row(number))
            for i, (place, slot) in enumerate(zip(places, slots, strict=True)):
                result = builder.fadd(builder.load(slot), added)
                builder.store(result, emit.address(total, place), align=4)
                low = least[i % len(least)]
                builder.store(emit.lower(result, builder.load(low)), low)

        usual = builder.icmp_signed("==", length, _WIDE(_BLOCK))
        with builder.if_else(usual, likely=True) as (then, otherwise):
            with then:
                add_up(_WIDE(0), _BLOCK, TOGETHER)
            with otherwise:
                done = _WIDE(0)
                for size in (_WIDE_BLOCK, _BLOCK):
                    reached = builder.and_(length, _WIDE(-size))
                    with cgutils.for_range_slice(builder, done, reached, _WIDE(size), _WIDE) as (
                        k,
                        _,
                    ):
                        add_up(k, size, 1)
                    done = reached
        for i, slot in enumerate(least):
            builder.store(builder.load(slot), emit.address(lows, _WIDE(i * _LANES)), align=4)
        return context.get_dummy_value()

    address = types.int64
    signature = types.void(
        address, address, address, address, address, types.float32, types.UniTuple(types.int64, 4)
    )
    return signature, codegen


@intrinsic
def extremes(typingctx, values, length):
    """Returns the smallest and the largest of the finite numbers, of which there is at least one.

    Args:
        typingctx: Numba's typing context.
        values: Address of ``length`` float32, without NaN or minus infinity.
        length: A multiple of 64, int64.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        values, length = arguments
        most, least = (ir.Constant(_VECTOR, [sign * _LARGEST] * _LANES) for sign in (1, -1))
        lows, highs = ([cgutils.alloca_once(builder, _VECTOR) for _ in range(_SUMS)] for _ in "12")
        for low, high in zip(lows, highs, strict=True):
            builder.store(most, low)
            builder.store(least, high)
        with cgutils.for_range_slice(builder, _WIDE(0), length, _WIDE(64), _WIDE) as (k, _):
            for i in range(0, 64, _LANES):
                low, high = lows[i // _LANES % _SUMS], highs[i // _LANES % _SUMS]
                found = builder.load(emit.address(values, builder.add(k, _WIDE(i))), align=4)
                builder.store(emit.lower(found, builder.load(low)), low)
                finite = builder.select(builder.fcmp_ordered("<=", found, most), found, least)
                builder.store(emit.higher(finite, builder.load(high)), high)

        def reduced(slots, join, name):
            one, two, three, four = (builder.load(slot) for slot in slots)
            reduce = emit.external(f"llvm.vector.reduce.{name}.v{_LANES}f32", _REAL, _VECTOR)
            both = join(join(one, two), join(three, four))
            return builder.call(reduce, [both], fastmath=("nnan",))

        found = reduced(lows, emit.lower, "fmin"), reduced(highs, emit.higher, "fmax")
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(types.float32, 2)(types.int64, types.int64), codegen


@intrinsic
def shared(typingctx, one, other, length):
    """Returns how many int32 are equal before the first that differ; ``length`` if all are equal.

    Args:
        typingctx: Numba's typing context.
        one: Address of ``length`` int32.
        other: Address of ``length`` int32.
        length: A multiple of 16, int64.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        one, other, length = arguments
        result = cgutils.alloca_once(builder, _WIDE)
        builder.store(length, result)
        pointer = _INTS.as_pointer()
        with cgutils.for_range_slice(builder, _WIDE(0), length, _WIDE(_BLOCK), _WIDE) as (done, _):
            # From the end, so that the first difference is kept.
            k = builder.sub(length, builder.add(done, _WIDE(_BLOCK)))
            bits = _INT(0)
            for i in range(0, _BLOCK, _LANES):
                place = builder.add(k, _WIDE(i))
                found = (
                    builder.load(emit.address(base, place, pointer), align=4)
                    for base in (one, other)
                )
                flags = builder.bitcast(builder.icmp_signed("!=", *found), ir.IntType(_LANES))
                bits = builder.or_(bits, builder.shl(builder.zext(flags, _INT), _INT(i)))
            place = builder.add(k, builder.zext(builder.cttz(bits, cgutils.true_bit), _WIDE))
            differs = builder.icmp_unsigned("!=", bits, _INT(0))
            builder.store(builder.select(differs, place, builder.load(result)), result)
        return builder.load(result)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def up_to(typingctx, values, limit):
    """Returns 64 bits that show which of 64 numbers are at most a limit.

    Args:
        typingctx: Numba's typing context.
        values: Address of 64 float32; the first one's bit is the lowest.
        limit: float32.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        values, limit = arguments
        most = emit.splat(limit, _VECTOR)
        words = []
        for k in range(0, 64, _LANES):
            found = builder.load(emit.address(values, _WIDE(k)), align=4)
            flags = builder.fcmp_ordered("<=", found, most)
            bits = builder.zext(builder.bitcast(flags, ir.IntType(_LANES)), _WIDE)
            words.append(builder.shl(bits, _WIDE(k)))
        while len(words) > 1:
            words = [builder.or_(*words[i : i + 2]) for i in range(0, len(words), 2)]
        return words[0]

    return types.int64(types.int64, types.float32), codegen


@intrinsic
def lowest_bit(typingctx, bits):
    """Returns the number of the lowest set bit of an int64 that is not 0."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], cgutils.true_bit)

    return types.int64(types.int64), codegen


@intrinsic
def count_bits(typingctx, bits):
    """Returns the number of set bits of an int64."""

    def codegen(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), codegen


@intrinsic
def copy(typingctx, total, source, length):
    """Copies 4-byte numbers.

    Args:
        typingctx: Numba's typing context.
        total: Address to copy them to.
        source: Address of the numbers.
        length: A multiple of 16, int64.
    """

    def codegen(context, builder, signature, arguments):
        emit = _Emitter(builder)
        total, source, length = arguments
        with cgutils.for_range_slice(builder, _WIDE(0), length, _WIDE(_BLOCK), _WIDE) as (k, _):
            places = [builder.add(k, _WIDE(i)) for i in range(0, _BLOCK, _LANES)]
            found = [builder.load(emit.address(source, place), align=4) for place in places]
            for place, vector in zip(places, found, strict=True):
                builder.store(vector, emit.address(total, place), align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


@intrinsic
def sum_rows(typingctx, zero, total, rows, units, sizes):
    """Adds up rows chosen by number, in the order given.

    ``total[k] = sum over m of rows[units[m], k]`` for k below the length.

    Args:
        typingctx: Numba's typing context.
        zero: 0 in the matrix's type: float32, or uint16 for the bits of float16 numbers.
        total: Address of the sums, float32, as many as the length.
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
