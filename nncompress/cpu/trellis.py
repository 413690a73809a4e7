"""The path of lowest cost through a trellis, for sixteen rows at a time (the Viterbi algorithm).

Source: Forney, "The Viterbi algorithm", Proc. IEEE 1973. A row's cost is its squared error in
steps plus ``lam`` times its bits. The costs of paths are int16 that wrap around: only differences
count, and those stay below half of the range, because no branch costs more than a sixteenth of the
range (for 8 bits of state) above the cheapest. A tile is sixteen rows whose axes have the same
scales: one vector of int16 with AVX2, with the choices of sixteen rows as the bits of one uint16.
"""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.intrinsics import load
from nncompress.machine import Team

LANES = 16
POINTS = 4  # levels whose values are in a table
SYMBOLS = 16  # the last one announces larger levels
_RESOLUTION = 256.0  # units of a path's cost in a squared step
_UNREACHED = 16_000
# Numbers beyond this get the largest level.
_LARGEST_SIZE, _LARGEST_HALF = 70_000.0, 16_383.0
# The numbers by which a scale's levels are judged: costs of 15 symbols and of 16 lengths beyond
# them, the cost of 0, and values.
_COSTS, _ZERO, _VALUES, _NUMBERS = 32, 32, 33, 40
# Costs are rounded after each operation, so that they are the same with and without fused
# operations, and on a GPU.
_EXACT = {**JIT, "fastmath": False}
_EXACT_INLINE = {**INLINE, "fastmath": False}
_I8, _I16, _I32, _WIDE = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_ROW = ir.VectorType(_I16, LANES)
_INTS, _REALS = ir.VectorType(_I32, LANES), ir.VectorType(ir.FloatType(), LANES)


def _at(builder, base, index, size, kind):
    """Returns a pointer to the place ``index`` times ``size`` bytes after an address."""
    place = builder.add(base, builder.mul(index, _WIDE(size)))
    return builder.inttoptr(place, kind.as_pointer())


@intrinsic
def _advance(typingctx, old, new, branches, choices, labels, half):
    """Advances by one step, taking the cheaper of the two ways into each state, for sixteen rows.

    Args:
        typingctx: Numba's typing context.
        old: Address of the states' costs, int16 ``(2*half, 16)``.
        new: Address of the costs after the step.
        branches: Address of the costs of the branches 0 to 3, int16 ``(4, 16)``.
        choices: Address of ``half`` uint32, written: what ``_choice`` reads.
        labels: Address of the branches that input 0 takes from the first half of the states, times
            4, uint8.
        half: Half of the number of states, a multiple of 4.
    """

    def codegen(context, builder, signature, arguments):
        old, new, branches, choices, labels, half = arguments
        zero = ir.Constant(_ROW, [0] * LANES)
        both = ir.Constant(
            ir.VectorType(_I32, 32), [*range(8), *range(16, 24), *range(8, 16), *range(24, 32)]
        )

        def load_row(base, index, size=32):
            return builder.load(_at(builder, base, index, size, _ROW), align=32)

        def go(h):
            label = builder.zext(builder.load(_at(builder, labels, h, 1, _I8)), _WIDE)
            one = load_row(branches, label, 8)
            two = load_row(branches, builder.xor(label, _WIDE(8)), 8)
            low, high = load_row(old, h), load_row(old, builder.add(h, half))
            less = []
            for step, (p, q) in enumerate(((one, two), (two, one))):
                a, b = builder.add(low, p), builder.add(high, q)
                difference = builder.sub(b, a)
                less.append(builder.icmp_signed("<", difference, zero))
                state = builder.add(builder.shl(h, _WIDE(1)), _WIDE(step))
                best = builder.select(less[-1], b, a)
                builder.store(best, _at(builder, new, state, 32, _ROW), align=32)
            bits = builder.bitcast(builder.shuffle_vector(*less, both), _I32)
            builder.store(bits, _at(builder, choices, h, 4, _I32))

        with cgutils.for_range_slice(builder, _WIDE(0), half, _WIDE(4), _WIDE) as (h, _):
            for i in range(4):
                go(builder.add(h, _WIDE(i)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@njit(**INLINE)
def _choice(choices, state, lane):
    """Returns 1 if a row came to a state from the second half of states, and 0 otherwise."""
    place = (state & 1) << 3 | (lane & 8) << 1 | (lane & 7)
    return np.int64(load(np.uint32(0), choices, state >> 1)) >> place & 1


@intrinsic
def _judge(typingctx, sizes, numbers, shift, most, branches, candidates):
    """Finds the best level of each branch for sixteen numbers, and the costs of the branches.

    Args:
        typingctx: Numba's typing context.
        sizes: Address of the numbers without signs, float32 ``(16,)``.
        numbers: Address of the numbers by which their scale's levels are judged, float32
            ``(2, 40)``.
        shift: Low bits of levels that are not part of symbols, int32.
        most: The most that a branch may cost above the cheapest, float32.
        branches: Address of the costs of the branches above the cheapest, int16 ``(4, 16)``,
            written.
        candidates: Address of the magnitudes of their levels, int16 ``(4, 16)``, written.
    """

    def codegen(context, builder, signature, arguments):
        sizes, numbers, shift, most, branches, candidates = arguments

        def real(value):
            return ir.Constant(_REALS, [float(value)] * LANES)

        def integer(value):
            return ir.Constant(_INTS, [value] * LANES)

        def spread(value, kind):
            undefined = ir.Constant(kind, ir.Undefined)
            one = builder.insert_element(undefined, value, _I32(0))
            return builder.shuffle_vector(one, undefined, integer(0))

        def external(name, *operands):
            kind = ir.FunctionType(_REALS, operands)
            return cgutils.get_or_insert_function(builder.module, kind, name)

        pointers = ir.VectorType(ir.FloatType().as_pointer(), LANES)
        flags = ir.VectorType(ir.IntType(1), LANES)
        gather = external("llvm.masked.gather.v16f32.v16p0", pointers, _I32, flags, _REALS)
        places = ir.VectorType(_WIDE, LANES)

        def smaller(a, b):
            return builder.select(builder.fcmp_ordered("<", b, a), b, a)

        def number(c, index):
            place = _at(builder, numbers, _WIDE(c * _NUMBERS + index), 4, ir.FloatType())
            return spread(builder.load(place), _REALS)

        shifts = spread(shift, _INTS)
        size = builder.load(_at(builder, sizes, _WIDE(0), 4, _REALS), align=4)
        size = smaller(size, real(_LARGEST_SIZE))

        def cost_of(c, odd, j):
            """Returns the cost of magnitudes ``2j + odd`` with quantizer c."""
            k = builder.or_(builder.shl(j, integer(1)), integer(odd))
            value = builder.sitofp(builder.sub(builder.shl(k, integer(1)), integer(c)), _REALS)
            for first in (1, 0):
                is_it = builder.icmp_signed("==", j, integer(first))
                value = builder.select(is_it, number(c, _VALUES + odd + 2 * first), value)
            symbol = builder.lshr(k, shifts)
            beyond = builder.sitofp(builder.sub(symbol, integer(SYMBOLS - 2)), _REALS)
            length = builder.lshr(builder.bitcast(beyond, _INTS), integer(23))
            large = builder.add(length, integer(SYMBOLS - 1 - 127))
            is_large = builder.icmp_signed(">=", symbol, integer(SYMBOLS - 1))
            index = builder.select(is_large, large, symbol)
            offsets = builder.shl(builder.zext(index, places), ir.Constant(places, [2] * LANES))
            base = builder.add(numbers, _WIDE(4 * c * _NUMBERS))
            where = builder.inttoptr(builder.add(offsets, spread(base, places)), pointers)
            every = ir.Constant(flags, [1] * LANES)
            fee = builder.call(gather, [where, _I32(4), every, real(0)])
            if odd == 0:
                nothing = builder.icmp_signed("==", k, integer(0))
                fee = builder.select(nothing, number(c, _ZERO), fee)
            error = builder.fsub(size, value)
            return builder.fadd(builder.fmul(error, error), fee), k

        costs = []
        for d in range(4):
            c = d & 1
            odd = (d >> 1) ^ c
            nearest = builder.fmul(real(0.25), builder.fadd(size, real(c)))
            nearest = builder.fsub(nearest, real(0.5 * odd))
            above_0 = builder.fcmp_ordered(">", nearest, real(0))
            nearest = smaller(builder.select(above_0, nearest, real(0)), real(_LARGEST_HALF))
            j = builder.fptosi(builder.fadd(nearest, real(0.5)), _INTS)
            positive = builder.icmp_signed(">", j, integer(0))
            below = builder.sub(j, builder.zext(positive, _INTS))
            cost, k = cost_of(c, odd, j)
            other, less_k = cost_of(c, odd, below)
            less = builder.fcmp_ordered("<", other, cost)
            costs.append(builder.select(less, other, cost))
            level = builder.trunc(builder.select(less, less_k, k), _ROW)
            builder.store(level, _at(builder, candidates, _WIDE(d), 32, _ROW), align=2)
        least = smaller(smaller(costs[0], costs[1]), smaller(costs[2], costs[3]))
        limit = spread(most, _REALS)
        for d, cost in enumerate(costs):
            above = builder.fmul(builder.fsub(cost, least), real(_RESOLUTION))
            above = builder.fadd(smaller(above, limit), real(0.5))
            whole = builder.trunc(builder.fptosi(above, _INTS), _ROW)
            builder.store(whole, _at(builder, branches, _WIDE(d), 32, _ROW), align=32)
        return context.get_dummy_value()

    address = types.int64
    return types.void(address, address, types.int32, types.float32, address, address), codegen


@njit(**_EXACT_INLINE)
def value_of(points, m, c, k):
    """Returns the value of a level's magnitude, in steps."""
    if k < POINTS:
        return points[m, c, k]
    return np.float32(2 * k - c)


@njit(**_EXACT_INLINE)
def bits_of(bits, shifts, m, c, k):
    """Returns the number of bits of a level's magnitude and sign."""
    shift = shifts[m]
    symbol = k >> shift
    total = np.float32(shift + (k > 0))
    if symbol >= SYMBOLS - 1:
        rest = symbol - (SYMBOLS - 1) + 1
        length = 0
        while rest > 1:
            rest >>= 1
            length += 1
        total += np.float32(4 + length)
        symbol = SYMBOLS - 1
    return total + bits[m, c, symbol]


@njit(**_EXACT)
def _walk(thread, threads, barrier, rows, levels, order, tiles, scales, numbers, shifts, labels):
    """Finds the levels of rows.

    Args:
        thread: The thread's number.
        threads: The number of threads.
        barrier: Not used.
        rows: Coordinates divided by the row's step, float32 ``(n, T)``.
        levels: int16 ``(n, T)``, written.
        order: The order in which rows are tiled, int64 ``(n,)``.
        tiles: The beginning and end of each tile in it, at most 16 rows, int64 ``(tiles, 2)``.
        scales: The scales of the axes of each tile, int32 ``(tiles, T)``.
        numbers: The numbers by which levels are judged, float32 ``(scales, 2, 40)``.
        shifts: int64 ``(scales,)``.
        labels: The labels of the trellis, uint8 ``(S,)``.
    """
    num_axes = rows.shape[1]
    num_states = labels.size
    half = num_states >> 1
    state_bits = 0
    while 1 << state_bits < num_states:
        state_bits += 1
    most = np.float32((_UNREACHED - 1) // state_bits)
    space = np.empty(2 * num_states * LANES + 5 * LANES, np.int16)
    base = (space.ctypes.data + 31) // 32 * 32
    skip = (base - space.ctypes.data) // 2
    branches = space[skip : skip + 4 * LANES].reshape(4, LANES)
    costs = space[skip + 4 * LANES : skip + (4 + 2 * num_states) * LANES]
    costs = costs.reshape(2, num_states, LANES)
    choices = np.empty((num_axes, half), np.uint32)
    candidates = np.empty((num_axes, 4, LANES), np.int16)
    sizes = np.zeros((num_axes, LANES), np.float32)
    states = np.empty(LANES, np.int64)
    scaled_labels = labels << np.uint8(2)
    count = len(tiles)
    for tile in range(thread * count // threads, (thread + 1) * count // threads):
        first, lanes = tiles[tile, 0], tiles[tile, 1] - tiles[tile, 0]
        costs[0] = _UNREACHED
        costs[0, 0] = 0
        for lane in range(lanes):
            row = rows[order[first + lane]]
            for t in range(num_axes):
                sizes[t, lane] = abs(row[t])
        for t in range(num_axes):
            m = scales[tile, t]
            _judge(
                np.int64(sizes[t].ctypes.data), np.int64(numbers[m].ctypes.data),
                np.int32(shifts[m]), most, np.int64(branches.ctypes.data),
                np.int64(candidates[t].ctypes.data),
            )  # fmt: skip
            _advance(
                np.int64(costs[t & 1].ctypes.data), np.int64(costs[1 - (t & 1)].ctypes.data),
                np.int64(branches.ctypes.data), np.int64(choices[t].ctypes.data),
                np.int64(scaled_labels.ctypes.data), np.int64(half),
            )  # fmt: skip
        ends = costs[num_axes & 1]
        states[:] = 0
        for s in range(1, num_states):
            for lane in range(lanes):
                if np.int16(ends[s, lane] - ends[states[lane], lane]) < 0:
                    states[lane] = s
        for t in range(num_axes - 1, -1, -1):
            here = np.int64(choices[t].ctypes.data)
            for lane in range(lanes):  # tracing their paths back overlaps
                state = states[lane]
                before = (state >> 1) | (_choice(here, state, lane) * half)
                d = labels[before] ^ ((state & 1) << 1)
                k = candidates[t, d, lane]
                n = order[first + lane]
                levels[n, t] = k if rows[n, t] >= 0 else -k
                states[lane] = before


def find_levels(
    rows: np.ndarray,
    levels: np.ndarray,
    offsets: np.ndarray,
    axis_scales: np.ndarray,
    tables: tuple[np.ndarray, np.ndarray, np.ndarray],
    lam: float,
    labels: np.ndarray,
    team: Team,
) -> None:
    """Finds the levels of rows.

    Args:
        rows: Coordinates divided by the row's step, float32 ``(n, T)``.
        levels: int16 ``(n, T)``, written.
        offsets: The number that each row's class adds to the scales of axes, int32 ``(n,)``.
        axis_scales: int32 ``(T,)``.
        tables: ``points`` float32 ``(scales, 2, 4)``, ``bits`` float32 ``(scales, 2, 16)`` and
            ``shifts`` int64 ``(scales,)``.
        lam: The cost of a bit in squared steps.
        labels: The labels of the trellis, uint8 ``(S,)``.
        team: The threads to compute with.
    """
    points, bits, shifts = tables
    if not len(rows):
        return
    order = np.argsort(offsets, kind="stable")
    known, begins, counts = np.unique(offsets[order], return_index=True, return_counts=True)
    first = np.concatenate(
        [np.arange(b, b + n, LANES) for b, n in zip(begins, counts, strict=True)]
    )
    of_tile = np.repeat(np.arange(len(known)), -(-counts // LANES))
    ends = np.minimum(first + LANES, (begins + counts)[of_tile])
    scales = np.clip(axis_scales + known[:, None], 0, len(shifts) - 1).astype(np.int32)
    team.run(
        _walk, team.threads, rows, levels, order, np.stack([first, ends], axis=1), scales[of_tile],
        _numbers(points, bits, shifts, np.float32(lam)), shifts, labels,
    )  # fmt: skip


def _numbers(
    points: np.ndarray, bits: np.ndarray, shifts: np.ndarray, lam: np.float32
) -> np.ndarray:
    """Returns the numbers by which levels are judged, float32 ``(scales, 2, 40)``."""
    numbers = np.zeros((*bits.shape[:2], _NUMBERS), np.float32)
    plain = shifts.astype(np.float32)[:, None, None]
    lengths = np.arange(_COSTS - SYMBOLS + 1, dtype=np.float32)
    last = SYMBOLS - 1
    numbers[:, :, :last] = lam * (plain + 1 + bits[:, :, :last])
    numbers[:, :, last:_COSTS] = lam * (plain + 5 + lengths + bits[:, :, last:])
    numbers[:, :, _ZERO] = lam * (plain[..., 0] + bits[:, :, 0])
    numbers[:, :, _VALUES : _VALUES + POINTS] = points
    return numbers
