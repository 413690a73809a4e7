"""Writing levels as bytes with asymmetric numeral systems, with 32 bits of state.

Source: Duda, "Asymmetric numeral systems", 2013, in the range variant (rANS). The contents of a
block of bytes are documented bit for bit in docs/file-format.md; ``cpu.residual`` reads them.
"""

from itertools import pairwise

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.trellis import SYMBOLS
from nncompress.machine import Team

PRECISION = 12  # bits of frequencies
_LOW = np.uint64(1 << 16)
FREE_SIGNS = 16  # kept in the first state
_EXACT = {**JIT, "fastmath": False}


@njit(**INLINE)
def _make_room(x, words, at, limit):
    """Writes out a word if the state has reached a limit, without a branch to mispredict."""
    words[at] = np.uint16(x & np.uint64(0xFFFF))
    full = np.uint64(x >= limit)
    return x >> (full << np.uint64(4)), at + np.int64(full)


@njit(**INLINE)
def _push(x, words, at, frequency, start):
    """Adds a symbol; returns the state and the number of words."""
    x, at = _make_room(x, words, at, np.uint64(frequency) << np.uint64(20))
    f = np.uint32(frequency)
    quotient = np.uint32(x) // f
    rest = np.uint32(x) - quotient * f
    return (np.uint64(quotient) << np.uint64(PRECISION)) + np.uint64(rest) + np.uint64(start), at


@njit(**INLINE)
def _push_bits(x, words, at, value, count):
    """Adds raw bits, or none."""
    x, at = _make_room(x, words, at, np.uint64(1) << np.uint64(32 - count))
    return (x << np.uint64(count)) | np.uint64(value), at


@njit(**_EXACT)
def _write_block(levels, classes, scales, code, frequencies, starts, class_table, words, path):
    """Writes a block's words, the last one first; returns the final state and their number."""
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
        free = FREE_SIGNS if row == num_rows - 1 else 0
        for t in range(num_axes - 1, -1, -1):
            level = np.int64(levels[row, t])
            k = abs(level)
            m = min(max(axis_scales[t] + offset, 0), shifts.size - 1)
            c = path[t]
            shift = shifts[m]
            signed = np.int64((k > 0) & (nonzero > free))
            nonzero -= np.int64(k > 0)
            x, at = _push_bits(x, words, at, np.int64(level < 0) & signed, signed)
            if shift:
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
        x, at = _push(x, words, at, class_frequencies[classes[row]], class_starts[classes[row]])
    return x, at


@njit(**_EXACT)
def _write_blocks(
    thread, threads, barrier, lengths, data, most, levels, classes, block_rows, scales, code,
    frequencies, starts, class_table,
):  # fmt: skip
    """Writes rows as blocks of bytes; the blocks of a thread follow each other.

    Args:
        thread: The thread's number.
        threads: The number of threads.
        barrier: Not used.
        lengths: The bytes of each block, int64 ``(blocks,)``, written.
        data: uint8, written; room for ``most`` bytes for each block.
        most: The most bytes that a block may take, which gives the place where a thread begins.
        levels: int16 ``(n, T)``.
        classes: Each row's class, uint8 ``(n,)``.
        block_rows: G.
        scales: ``axis_scales`` int32 ``(T,)``, ``class_offsets`` int32 ``(R,)``, ``shifts`` int64.
        code: ``next_states`` and ``quantizers`` of the trellis.
        frequencies: uint16 ``(scales, 2, 16)``.
        starts: The sums of the frequencies before each symbol, uint16.
        class_table: The frequencies of classes and their sums, uint16 ``(R,)``.
    """
    num_rows, num_axes = levels.shape
    words = np.empty(most // 2, np.uint16)
    path = np.empty(num_axes, np.uint8)
    blocks = lengths.size
    at = thread * blocks // threads * most
    for block in range(thread * blocks // threads, (thread + 1) * blocks // threads):
        first = block * block_rows
        last = min(first + block_rows, num_rows)
        x, count = _write_block(
            levels[first:last], classes[first:last], scales, code, frequencies, starts,
            class_table, words, path,
        )  # fmt: skip
        top = x >> np.uint64(24)
        lengths[block] = 3 + 2 * count + (top > 0)
        for i in range(3):
            data[at + i] = np.uint8(x >> np.uint64(8 * i) & np.uint64(0xFF))
        at += 3
        for i in range(count - 1, -1, -1):
            data[at] = np.uint8(words[i] & 0xFF)
            data[at + 1] = np.uint8(words[i] >> 8)
            at += 2
        if top:
            data[at] = np.uint8(top)
            at += 1


def write(
    levels: np.ndarray,
    classes: np.ndarray,
    block_rows: int,
    scales: tuple[np.ndarray, np.ndarray, np.ndarray],
    code: tuple[np.ndarray, np.ndarray],
    frequencies: np.ndarray,
    starts: np.ndarray,
    class_table: tuple[np.ndarray, np.ndarray],
    team: Team,
) -> tuple[np.ndarray, np.ndarray]:
    """Writes rows as blocks of bytes.

    Args:
        levels: int16 ``(n, T)``.
        classes: Each row's class, uint8 ``(n,)``.
        block_rows: G.
        scales: ``axis_scales`` int32 ``(T,)``, ``class_offsets`` int32 ``(R,)``, ``shifts`` int64.
        code: ``next_states`` and ``quantizers`` of the trellis.
        frequencies: uint16 ``(scales, 2, 16)``.
        starts: The sums of the frequencies before each symbol, uint16.
        class_table: The frequencies of classes and their sums, uint16 ``(R,)``.
        team: The threads to compute with.

    Returns:
        The blocks, uint8, and the bytes of each, int64.
    """
    num_rows, num_axes = levels.shape
    blocks, threads = -(-num_rows // block_rows), team.threads
    # No level takes more than five words. Most of this room is never touched.
    most = 2 * (block_rows * (5 * num_axes + 1) + 4)
    lengths, data = np.zeros(blocks, np.int64), np.empty(blocks * most, np.uint8)
    team.run(
        _write_blocks, threads, lengths, data, most, levels, classes, block_rows, scales, code,
        frequencies, starts, class_table,
    )  # fmt: skip
    firsts = [thread * blocks // threads for thread in range(threads + 1)]
    parts = [
        data[first * most : first * most + int(lengths[first:last].sum())]
        for first, last in pairwise(firsts)
    ]
    return np.concatenate(parts), lengths
