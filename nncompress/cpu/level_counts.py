"""Statistics of levels: their counts, the values that would fit best, their errors and bits."""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import JIT
from nncompress.cpu.trellis import POINTS, SYMBOLS, bits_of, value_of
from nncompress.machine import Team

_TOGETHER = 8  # classes in a vector
CHUNK = 512  # rows to count together
# Sums of sizes are integers in a fraction of a step, so that they are the same in any order.
SUM_UNITS = 2.0**32
_EXACT = {**JIT, "fastmath": False}


@njit(**_EXACT)
def count_levels(
    thread, threads, barrier, rows, levels, offsets, errors, spent, counts, sums, numbers,
    axis_scales, tables, code,
):  # fmt: skip
    """Counts levels.

    Args:
        thread: The thread's number.
        threads: The number of threads.
        barrier: Not used.
        rows: Coordinates in steps, float32 ``(n, T)``.
        levels: int16 ``(n, T)``.
        offsets: The number that each row's class adds to the scales of axes, int32 ``(n,)``.
        errors: The squared error of each row, in squared steps, float64 ``(n,)``, written.
        spent: The bits of each row according to the tables, float64 ``(n,)``, written.
        counts: Symbols by scale and quantizer, int64 ``(chunks, scales, 2, 16)``, added to.
        sums: The sums of the sizes at each level below 4, in units of 2**-32 steps, int64
            ``(chunks, scales, 2, 4)``, added to.
        numbers: The number of sizes in each sum, int64, added to.
        axis_scales: int32 ``(T,)``.
        tables: ``points``, ``bits`` and ``shifts``, as for ``trellis.find_levels``.
        code: ``next_states`` and ``quantizers`` of the trellis.
    """
    points, bits, shifts = tables
    next_states, quantizers = code
    num_rows, num_axes = rows.shape
    chunks = counts.shape[0]
    for chunk in range(thread * chunks // threads, (thread + 1) * chunks // threads):
        for n in range(chunk * CHUNK, min((chunk + 1) * CHUNK, num_rows)):
            state = 0
            error = 0.0
            total = 0.0
            for t in range(num_axes):
                m = min(max(axis_scales[t] + offsets[n], 0), shifts.size - 1)
                c = np.int64(quantizers[state])
                level = np.int64(levels[n, t])
                k = abs(level)
                size = rows[n, t] if level > 0 else -rows[n, t]
                away = np.float64(size - value_of(points, m, c, k))
                error += away * away
                total += bits_of(bits, shifts, m, c, k)
                counts[chunk, m, c, min(k >> shifts[m], SYMBOLS - 1)] += 1
                if k < POINTS:
                    sums[chunk, m, c, k] += np.int64(np.rint(np.float64(size) * SUM_UNITS))
                    numbers[chunk, m, c, k] += 1
                state = next_states[state, k & 1]
            errors[n] = error
            spent[n] = total


@njit(**_EXACT)
def _choose(thread, threads, barrier, rows, chosen, firsts, fees, costs):
    """Chooses each row's class, for all classes at once, as their costs are adjacent.

    Args:
        thread: The thread's number.
        threads: The number of threads.
        barrier: Not used.
        rows: Coordinates in steps, float32 ``(n, T)``.
        chosen: Number of the class, int64 ``(n,)``, written.
        firsts: The first class's column of costs for each axis, int64 ``(T,)``.
        fees: The cost of coding each class, float32 ``(R,)``.
        costs: The cost of a size by scale, float32 ``(sizes, scales)``; sizes are in quarters of a
            step.
    """
    num_rows, num_axes = rows.shape
    last = costs.shape[0] - 1
    totals = np.empty_like(fees)
    for n in range(thread * num_rows // threads, (thread + 1) * num_rows // threads):
        for r in range(fees.size):
            totals[r] = fees[r]
        for t in range(num_axes):
            place = min(np.int64(np.float32(4) * abs(rows[n, t])), last)
            here = costs[place, firsts[t] : firsts[t] + fees.size]
            for r in range(fees.size):
                totals[r] += here[r]
        chosen[n] = np.argmin(totals)


def choose_classes(
    rows: np.ndarray,
    axis_scales: np.ndarray,
    offsets: np.ndarray,
    fees: np.ndarray,
    look_up: np.ndarray,
    team: Team,
) -> np.ndarray:
    """Chooses for each row the class in which it costs least.

    Args:
        rows: Coordinates in steps, float32 ``(n, T)``.
        axis_scales: int32 ``(T,)``.
        offsets: The numbers that classes add to the scales, all different, int32 ``(R,)``.
        fees: The cost of coding each class, float32 ``(R,)``.
        look_up: The cost of a size by scale, float32 ``(scales, sizes)``; sizes are in quarters of
            a step.
        team: The threads to compute with.

    Returns:
        The index of each row's class in ``offsets``, int64 ``(n,)``.
    """
    last = len(look_up) - 1
    low, span = int(offsets.min()), int(np.ptp(offsets)) + 1
    span += -span % _TOGETHER
    number = np.zeros(span, np.int64)
    all_fees = np.full(span, np.inf, np.float32)
    number[offsets - low], all_fees[offsets - low] = np.arange(len(offsets)), fees
    firsts = np.clip(axis_scales.astype(np.int64) + low, 1 - span, last)
    columns = np.arange(firsts.min(), firsts.max() + span)
    costs = np.ascontiguousarray(look_up[np.clip(columns, 0, last)].T)
    chosen = np.zeros(len(rows), np.int64)
    team.run(_choose, team.threads, rows, chosen, firsts - firsts.min(), all_fees, costs)
    return number[chosen]
