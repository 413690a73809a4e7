"""Reading the levels of a residual stage, in NumPy alone.

``nncompress.cpu.rans`` has the same function compiled. Blocks are read side by side, a coordinate
of all of them at a time; a block alone is read by Python's integers, which takes a fiftieth of the
time that arrays of one number would take.
"""

from typing import NamedTuple

import numpy as np

PRECISION = 12
SYMBOLS = 16
POINTS = 4
FREE_SIGNS = 16
_LOW = 1 << 16


class Reading(NamedTuple):
    """What blocks are read by.

    Attributes:
        axis_scales: The scale of each axis, int32 ``(T,)``.
        class_offsets: What a row's class adds to it, int32 ``(R,)``.
        shifts: Low bits that levels have beside their symbols, int64 ``(scales,)``.
    """

    axis_scales: np.ndarray
    class_offsets: np.ndarray
    shifts: np.ndarray


def read_blocks(
    places: np.ndarray,
    ends: np.ndarray,
    rows: np.ndarray,
    values: np.ndarray,
    data: np.ndarray,
    scales: Reading,
    steps: np.ndarray,
    code: tuple[np.ndarray, np.ndarray],
    symbols: np.ndarray,
    frequencies: np.ndarray,
    starts: np.ndarray,
    class_symbols: np.ndarray,
    class_table: tuple[np.ndarray, np.ndarray],
    points: np.ndarray,
) -> None:
    """Reads blocks of bytes to coordinates.

    Args:
        places: Where each block begins in ``data``, int64 ``(n,)``.
        ends: Where it ends, at least 3 bytes later.
        rows: Rows in each, int64 ``(n,)``.
        values: float32 ``(n, G, T)``, written.
        data: uint8.
        scales: The scales of axes and classes.
        steps: The step of each row class, float32 ``(R,)``.
        code: ``next_states`` and ``quantizers`` of the trellis.
        symbols: The symbol of each slot, uint8 ``(scales, 2, 4096)``.
        frequencies: uint16 ``(scales, 2, 16)``.
        starts: The sums of frequencies before each, uint16.
        class_symbols: The class of each slot, uint8 ``(4096,)``.
        class_table: Frequencies of classes and their sums, uint16 ``(R,)``.
        points: The values of levels 0 to 3 in steps, float32 ``(scales, 2, 4)``.
    """
    num_blocks, block_rows, num_axes = values.shape
    states, at, ends = _first_states(places, ends, data)
    axis_scales, class_offsets, shifts = scales
    next_states, quantizers = code
    class_frequencies, class_starts = class_table
    last_scale = len(shifts) - 1
    padded = np.concatenate([data, np.zeros(2, np.uint8)]) if len(data) < 1 << 20 else data
    wide = np.uint64

    def renew() -> None:
        small = np.flatnonzero(states < _LOW)
        if small.size:
            place = at[small]
            inside = place + 1 < ends[small]
            place = np.where(inside, place, 0)
            words = padded[place].astype(wide) | padded[place + 1].astype(wide) << wide(8)
            states[small] = states[small] << wide(16) | np.where(inside, words, wide(0))
            at[small] += 2

    def take(count: np.ndarray, here: np.ndarray) -> np.ndarray:
        """Takes raw bits where it is wanted, and a word where the state becomes small."""
        count = np.where(here, count, 0).astype(wide)
        bits = states & ((wide(1) << count) - wide(1))
        states[:] >>= count
        renew()
        return bits.astype(np.int64)

    for row in range(block_rows):
        live = row < rows
        last = row == rows - 1
        if not live.any():
            break
        # What is past its block's last row is read too, and thrown away with its states.
        kept_states, kept_at = states.copy(), at.copy()
        slots = (states & wide(4095)).astype(np.intp)
        which = class_symbols[slots].astype(np.intp)
        states[:] = class_frequencies[which].astype(wide) * (states >> wide(PRECISION))
        states += slots.astype(wide) - class_starts[which].astype(wide)
        renew()
        offsets, row_steps = class_offsets[which], steps[which]
        trellis = np.zeros(num_blocks, np.intp)
        signless = np.zeros(num_blocks, np.int64)
        waiting = np.full((num_blocks, FREE_SIGNS), -1)
        for t in range(num_axes):
            m = np.clip(axis_scales[t] + offsets, 0, last_scale)
            c = quantizers[trellis].astype(np.intp)
            slots = (states & wide(4095)).astype(np.intp)
            symbol = symbols[m, c, slots].astype(np.intp)
            states[:] = frequencies[m, c, symbol].astype(wide) * (states >> wide(PRECISION))
            states += slots.astype(wide) - starts[m, c, symbol].astype(wide)
            renew()
            k = symbol.astype(np.int64)
            large = symbol == SYMBOLS - 1
            if large.any():
                size = take(np.full(num_blocks, 4), large)
                rest = take(size, large)
                k = np.where(large, k + (np.int64(1) << size) + rest - 1, k)
            shift = shifts[m]
            if shift.any():
                raw = take(shift, shift > 0)
                k = (k << shift) | raw
            value = np.where(k < POINTS, points[m, c, np.minimum(k, POINTS - 1)], 2 * k - c)
            value = value.astype(np.float32) * row_steps
            free = last & (k > 0) & (signless < FREE_SIGNS)
            places_free = np.flatnonzero(free)
            waiting[places_free, signless[places_free]] = t
            signless += free
            negative = take(np.ones(num_blocks, np.int64), (k > 0) & ~free)
            values[:, row, t] = np.where(k == 0, np.float32(0), np.where(negative, -value, value))
            trellis = next_states[trellis, k & 1].astype(np.intp)
        for i in range(FREE_SIGNS):
            flip = np.flatnonzero((waiting[:, i] >= 0) & ((states >> wide(i) & wide(1)) > 0))
            values[flip, row, waiting[flip, i]] *= -1
        states[~live], at[~live] = kept_states[~live], kept_at[~live]


def _first_states(
    places: np.ndarray, ends: np.ndarray, data: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the first states, where words begin, and where they end."""
    states = np.zeros(len(places), np.uint64)
    for i in range(3):
        states |= data[places + i].astype(np.uint64) << np.uint64(8 * i)
    even = (ends - places) % 2 == 0
    ends = ends - even
    top = data[np.minimum(ends, len(data) - 1)].astype(np.uint64) << np.uint64(24)
    states |= np.where(even, top, np.uint64(0))
    return states, places + 3, ends
