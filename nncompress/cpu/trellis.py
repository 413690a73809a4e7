"""The walk of least cost through a trellis, for sixteen rows at a time (the Viterbi algorithm).

Source: Forney, "The Viterbi algorithm", Proc. IEEE 1973. A row's cost is its squared error in
steps and ``lam`` times its bits. The costs of paths are int16 that wrap around: only differences
count, and those stay below half of the range, because no branch costs more than a sixteenth of it
(for 8 bits of state) above the cheapest. Sixteen rows are one vector of int16 with AVX2, and the
choices of sixteen rows are one uint16.
"""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from nncompress.cpu.elementary import INLINE, JIT

LANES = 16
POINTS = 4  # levels whose values are looked up
SYMBOLS = 16  # the last one announces larger levels
_RESOLUTION = np.float32(256)  # of a path's cost, in parts of a squared step
_UNREACHED = 16_000
# Costs are rounded after each operation: with and without fused ones, and on a GPU, they are the
# same.
_EXACT = {**JIT, "fastmath": False}
_EXACT_INLINE = {**INLINE, "fastmath": False}
_I8, _I16, _WIDE = ir.IntType(8), ir.IntType(16), ir.IntType(64)
_ROW = ir.VectorType(_I16, LANES)


@intrinsic
def _advance(typingctx, old, new, branches, choices, labels, half):
    """Goes a step: the cheaper of the two ways into each state, for sixteen rows.

    Args:
        typingctx: Numba's typing context.
        old: Address of the states' costs, int16 ``(2*half, 16)``.
        new: Address of those after the step.
        branches: Address of the costs of the branches 0 to 3, int16 ``(4, 16)``.
        choices: Address of ``2*half`` uint16, written: bit l tells which way row l takes.
        labels: Address of the branches by input 0 from the first half of the states, uint8.
        half: Half of the number of states.
    """

    def codegen(context, builder, signature, arguments):
        old, new, branches, choices, labels, half = arguments

        def at(base, index, size, kind):
            place = builder.add(base, builder.mul(index, _WIDE(size)))
            return builder.inttoptr(place, kind.as_pointer())

        with cgutils.for_range(builder, half, intp=_WIDE) as loop:
            h = loop.index
            label = builder.zext(builder.load(at(labels, h, 1, _I8)), _WIDE)
            other = builder.xor(label, _WIDE(2))
            one = builder.load(at(branches, label, 32, _ROW), align=32)
            two = builder.load(at(branches, other, 32, _ROW), align=32)
            low = builder.load(at(old, h, 32, _ROW), align=32)
            high = builder.load(at(old, builder.add(h, half), 32, _ROW), align=32)
            first = builder.shl(h, _WIDE(1))
            for step, (p, q) in enumerate(((one, two), (two, one))):
                a, b = builder.add(low, p), builder.add(high, q)
                difference = builder.sub(b, a)
                less = builder.icmp_signed("<", difference, ir.Constant(_ROW, [0] * LANES))
                state = builder.add(first, _WIDE(step))
                builder.store(builder.select(less, b, a), at(new, state, 32, _ROW), align=32)
                mask = builder.bitcast(less, _I16)
                builder.store(mask, at(choices, state, 2, _I16))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@njit(**_EXACT_INLINE)
def value_of(points, m, c, k):
    """Returns the value of a level's magnitude, in steps."""
    if k < POINTS:
        return points[m, c, k]
    return np.float32(2 * k - c)


@njit(**_EXACT_INLINE)
def bits_of(bits, shifts, m, c, k):
    """Returns the bits of a level's magnitude, with its sign."""
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


@njit(**_EXACT_INLINE)
def _best_level(size, c, odd, m, points, bits, shifts, lam):
    """Returns the best magnitude of a parity for a coordinate's size, and its cost."""
    nearest = np.float32(0.25) * (size + np.float32(c)) - np.float32(0.5) * np.float32(odd)
    k = 2 * np.int64(max(nearest, np.float32(0)) + np.float32(0.5)) + odd
    error = size - value_of(points, m, c, k)
    cost = error * error + lam * bits_of(bits, shifts, m, c, k)
    if k >= 2:
        error = size - value_of(points, m, c, k - 2)
        other = error * error + lam * bits_of(bits, shifts, m, c, k - 2)
        if other < cost:
            return k - 2, other
    return k, cost


@njit(**_EXACT)
def walk(
    thread, threads, barrier, rows, levels, offsets, axis_scales, tables, lam, labels,
):  # fmt: skip
    """Finds the levels of rows.

    Args:
        thread: The thread's number.
        threads: The number of threads.
        barrier: Not used.
        rows: Coordinates divided by the row's step, float32 ``(n, T)``.
        levels: int16 ``(n, T)``, written.
        offsets: What the row's class adds to the scales of axes, int32 ``(n,)``.
        axis_scales: int32 ``(T,)``.
        tables: ``points`` float32 ``(scales, 2, 4)``, ``bits`` float32 ``(scales, 2, 16)`` and
            ``shifts`` int64 ``(scales,)``.
        lam: The cost of a bit in squared steps, float32.
        labels: Those of the trellis, uint8 ``(S,)``.
    """
    points, bits, shifts = tables
    num_rows, num_axes = rows.shape
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
    choices = np.empty((num_axes, num_states), np.uint16)
    candidates = np.empty((num_axes, 4, LANES), np.int16)
    four = np.empty(4, np.float32)
    tiles = (num_rows + LANES - 1) // LANES
    for tile in range(thread * tiles // threads, (thread + 1) * tiles // threads):
        first = tile * LANES
        count = min(LANES, num_rows - first)
        costs[0] = _UNREACHED
        costs[0, 0] = 0
        branches[:] = 0
        for t in range(num_axes):
            for lane in range(count):
                n = first + lane
                size = abs(rows[n, t])
                m = min(max(axis_scales[t] + offsets[n], 0), shifts.size - 1)
                least = np.float32(np.inf)
                for d in range(4):
                    c = d & 1
                    odd = (d >> 1) ^ c
                    k, cost = _best_level(size, c, odd, m, points, bits, shifts, lam)
                    candidates[t, d, lane] = k
                    four[d] = cost
                    least = min(least, cost)
                for d in range(4):
                    above = (four[d] - least) * _RESOLUTION
                    branches[d, lane] = np.int16(min(above, most) + np.float32(0.5))
            _advance(
                np.int64(costs[t & 1].ctypes.data), np.int64(costs[1 - (t & 1)].ctypes.data),
                np.int64(branches.ctypes.data), np.int64(choices[t].ctypes.data),
                np.int64(labels.ctypes.data), np.int64(half),
            )  # fmt: skip
        ends = costs[num_axes & 1]
        for lane in range(count):
            n = first + lane
            state = 0
            for s in range(1, num_states):
                if np.int16(ends[s, lane] - ends[state, lane]) < 0:
                    state = s
            for t in range(num_axes - 1, -1, -1):
                before = (state >> 1) | ((choices[t, state] >> lane & 1) * half)
                d = labels[before] ^ ((state & 1) << 1)
                k = candidates[t, d, lane]
                levels[n, t] = k if rows[n, t] >= 0 else -k
                state = before
