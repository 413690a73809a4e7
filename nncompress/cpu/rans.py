"""Levels as bytes and back: asymmetric numeral systems, in 32 bits of state.

Source: Duda, "Asymmetric numeral systems", 2013, in the form of ranges (rANS). What a block of
bytes holds, bit for bit, is in docs/file-format.md; ``embedding.residual_kernels`` reads it in
NumPy.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.trellis import POINTS, SYMBOLS

PRECISION = 12  # bits of frequencies
_SLOTS = np.uint64((1 << PRECISION) - 1)
_LOW = np.uint64(1 << 16)
FREE_SIGNS = 16  # that the first state holds
_EXACT = {**JIT, "fastmath": False}


@njit(**INLINE)
def _push(x, words, at, frequency, start):
    """Adds a symbol; returns the state and the number of words."""
    if x >= np.uint64(frequency) << np.uint64(20):
        words[at] = np.uint16(x & np.uint64(0xFFFF))
        at += 1
        x >>= np.uint64(16)
    f = np.uint64(frequency)
    return ((x // f) << np.uint64(PRECISION)) + x % f + np.uint64(start), at


@njit(**INLINE)
def _push_bits(x, words, at, value, count):
    """Adds bits as they are."""
    if count == 0:
        return x, at
    if x >= np.uint64(1) << np.uint64(32 - count):
        words[at] = np.uint16(x & np.uint64(0xFFFF))
        at += 1
        x >>= np.uint64(16)
    return (x << np.uint64(count)) | np.uint64(value), at


@njit(**_EXACT)
def _write_block(levels, classes, scales, code, frequencies, starts, class_table, words, path):
    """Writes a block's words, the last first; returns the last state and the number of words."""
    axis_scales, class_offsets, shifts = scales
    next_states, quantizers = code
    class_frequencies, class_starts = class_table
    num_rows, num_axes = levels.shape
    x, at = _LOW, 0
    kept = 0
    for t in range(num_axes):
        if kept == FREE_SIGNS:
            break
        if levels[num_rows - 1, t] != 0:
            if levels[num_rows - 1, t] < 0:
                x |= np.uint64(1) << np.uint64(kept)
            kept += 1
    for row in range(num_rows - 1, -1, -1):
        state = 0
        nonzero = 0
        for t in range(num_axes):
            path[t] = quantizers[state]
            k = abs(np.int64(levels[row, t]))
            state = next_states[state, k & 1]
            nonzero += k > 0
        offset = class_offsets[classes[row]]
        for t in range(num_axes - 1, -1, -1):
            level = np.int64(levels[row, t])
            k = abs(level)
            m = min(max(axis_scales[t] + offset, 0), shifts.size - 1)
            c = path[t]
            shift = shifts[m]
            if k:
                if row < num_rows - 1 or nonzero > FREE_SIGNS:
                    x, at = _push_bits(x, words, at, level < 0, 1)
                nonzero -= 1
            x, at = _push_bits(x, words, at, k & ((1 << shift) - 1), shift)
            symbol = k >> shift
            if symbol >= SYMBOLS - 1:
                rest = symbol - (SYMBOLS - 1) + 1
                length = 0
                while rest >> (length + 1):
                    length += 1
                x, at = _push_bits(x, words, at, rest - (1 << length), length)
                x, at = _push_bits(x, words, at, length, 4)
                symbol = SYMBOLS - 1
            x, at = _push(x, words, at, frequencies[m, c, symbol], starts[m, c, symbol])
        x, at = _push(
            x, words, at, class_frequencies[classes[row]], class_starts[classes[row]]
        )
    return x, at


@njit(**_EXACT)
def write_blocks(
    thread, threads, barrier, lengths, places, data, levels, classes, block_rows, scales, code,
    frequencies, starts, class_table,
):  # fmt: skip
    """Writes rows as blocks of bytes, or counts the bytes of each where there is no ``data``.

    Args:
        thread: The thread's number.
        threads: The number of threads.
        barrier: Not used.
        lengths: The bytes of each block, int64 ``(blocks,)``; written if ``data`` is empty.
        places: Where each block begins, int64 ``(blocks,)``.
        data: uint8, written; of no bytes to count alone.
        levels: int16 ``(n, T)``.
        classes: Each row's class, uint8 ``(n,)``.
        block_rows: G.
        scales: ``axis_scales`` int32 ``(T,)``, ``class_offsets`` int32 ``(R,)``, ``shifts`` int64.
        code: ``next_states`` and ``quantizers`` of the trellis.
        frequencies: uint16 ``(scales, 2, 16)``.
        starts: The sums of frequencies before each, uint16.
        class_table: Frequencies and their sums for classes, uint16 ``(R,)``.
    """
    num_rows, num_axes = levels.shape
    words = np.empty(block_rows * (4 * num_axes + 2) + 4, np.uint16)
    path = np.empty(num_axes, np.uint8)
    blocks = lengths.size
    for block in range(thread * blocks // threads, (thread + 1) * blocks // threads):
        first = block * block_rows
        last = min(first + block_rows, num_rows)
        x, count = _write_block(
            levels[first:last], classes[first:last], scales, code, frequencies, starts,
            class_table, words, path,
        )  # fmt: skip
        top = x >> np.uint64(24)
        if data.size == 0:
            lengths[block] = 3 + 2 * count + (top > 0)
            continue
        at = places[block]
        for i in range(3):
            data[at + i] = np.uint8(x >> np.uint64(8 * i) & np.uint64(0xFF))
        at += 3
        for i in range(count - 1, -1, -1):
            data[at] = np.uint8(words[i] & 0xFF)
            data[at + 1] = np.uint8(words[i] >> 8)
            at += 2
        if top:
            data[at] = np.uint8(top)


@njit(**INLINE)
def _renew(x, data, at, end):
    """Takes a word where the state has become small; 0 past a damaged block's end."""
    if x < _LOW:
        word = np.uint64(0)
        if at + 1 < end:
            word = np.uint64(data[at]) | np.uint64(data[at + 1]) << np.uint64(8)
        return (x << np.uint64(16)) | word, at + 2
    return x, at


@njit(**_EXACT)
def read_blocks(
    thread, threads, barrier, places, ends, rows, values, data, scales, steps, code, symbols,
    frequencies, starts, class_symbols, class_table, points,
):  # fmt: skip
    """Reads blocks of bytes to coordinates; see ``embedding.residual_kernels.read_blocks``."""
    axis_scales, class_offsets, shifts = scales
    next_states, quantizers = code
    class_frequencies, class_starts = class_table
    blocks, block_rows, num_axes = values.shape
    signs = np.empty(FREE_SIGNS, np.int64)
    for block in range(thread * blocks // threads, (thread + 1) * blocks // threads):
        at, end = places[block], ends[block]
        length = end - at
        x = np.uint64(0)
        for i in range(3):
            x |= np.uint64(data[at + i]) << np.uint64(8 * i)
        at += 3
        if length % 2 == 0:
            end -= 1
            x |= np.uint64(data[end]) << np.uint64(24)
        for row in range(rows[block]):
            slot = x & _SLOTS
            which = class_symbols[slot]
            x = np.uint64(class_frequencies[which]) * (x >> np.uint64(PRECISION))
            x += slot - np.uint64(class_starts[which])
            x, at = _renew(x, data, at, end)
            offset = class_offsets[which]
            step = steps[which]
            state = 0
            kept = 0
            last = row == rows[block] - 1
            for t in range(num_axes):
                m = min(max(axis_scales[t] + offset, 0), shifts.size - 1)
                c = quantizers[state]
                slot = x & _SLOTS
                symbol = symbols[m, c, slot]
                x = np.uint64(frequencies[m, c, symbol]) * (x >> np.uint64(PRECISION))
                x += slot - np.uint64(starts[m, c, symbol])
                x, at = _renew(x, data, at, end)
                k = np.int64(symbol)
                if k == SYMBOLS - 1:
                    size = x & np.uint64(15)
                    x, at = _renew(x >> np.uint64(4), data, at, end)
                    rest = np.int64(x & ((np.uint64(1) << size) - np.uint64(1)))
                    x, at = _renew(x >> size, data, at, end)
                    k += (np.int64(1) << np.int64(size)) + rest - 1
                shift = shifts[m]
                if shift:
                    raw = np.int64(x & ((np.uint64(1) << np.uint64(shift)) - np.uint64(1)))
                    x, at = _renew(x >> np.uint64(shift), data, at, end)
                    k = (k << shift) | raw
                if k == 0:
                    values[block, row, t] = 0
                else:
                    value = points[m, c, k] if k < POINTS else np.float32(2 * k - c)
                    value *= step
                    if last and kept < FREE_SIGNS:
                        signs[kept] = t
                        kept += 1
                    else:
                        if x & np.uint64(1):
                            value = -value
                        x, at = _renew(x >> np.uint64(1), data, at, end)
                    values[block, row, t] = value
                state = next_states[state, k & 1]
            if last:
                for i in range(kept):
                    if x >> np.uint64(i) & np.uint64(1):
                        values[block, row, signs[i]] *= -1
