"""Reading the blocks of a residual stage, and turning coordinates back to rows.

``nncompress.embedding.residual_kernels`` says what each function computes, and computes the same
coordinates, bit for bit. A symbol has to wait for the one before it; so the symbols of four blocks
are read in turn, and the processor works at all of them at once. Nothing branches but where
levels are large: whether a word or a sign is taken goes into arithmetic.
"""

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.product import product
from nncompress.cpu.trellis import POINTS, SYMBOLS

FREE_SIGNS = 16  # that a block's first state holds
_CHUNK = 32  # blocks whose places are told by one number and their lengths
_LANES = 4
_TILE_ROWS = 64
_FEW_ROWS = 3
_LOW = np.uint64(1 << 16)
_SLOTS = np.uint64(4095)
_ONE = np.uint64(1)
_EXACT = {**JIT, "fastmath": False}


@intrinsic
def _symbol_of(typingctx, starts, slot):
    """Returns how many of 16 ascending int16, the first of them 0, are at most a slot, less one.

    Args:
        typingctx: Numba's typing context.
        starts: Their address, int64.
        slot: uint64, below 4096.
    """

    def codegen(context, builder, signature, arguments):
        starts, slot = arguments
        short = ir.IntType(16)
        vector = ir.VectorType(short, SYMBOLS)
        undefined = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(undefined, builder.trunc(slot, short), ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), SYMBOLS), [0] * SYMBOLS)
        slots = builder.shuffle_vector(one, undefined, zeros)
        table = builder.load(builder.inttoptr(starts, vector.as_pointer()), align=2)
        reached = builder.icmp_signed("<=", table, slots)
        count = builder.ctpop(builder.bitcast(reached, short))
        return builder.sub(builder.zext(count, ir.IntType(64)), ir.IntType(64)(1))

    return types.int64(types.int64, types.uint64), codegen


@njit(**INLINE)
def _renew(x, words, at, last):
    """Takes a word where the state has become small; the last word is 0, and is not left."""
    small = x < _LOW
    x = (x << np.uint64(16)) | np.uint64(words[at]) if small else x
    return x, min(at + np.uint64(small), last)


@njit(**INLINE)
def _advance(x, slice_, slot):
    """Returns the state after a symbol."""
    frequency = np.uint64(slice_ & np.uint32(0xFFFF))
    return frequency * (x >> np.uint64(12)) + slot - np.uint64(slice_ >> np.uint32(16))


@njit(**INLINE)
def _more_of(x, words, at, last, k, shift):
    """Takes what a level has beside its symbol."""
    if k == SYMBOLS - 1:
        length = x & np.uint64(15)
        x, at = _renew(x >> np.uint64(4), words, at, last)
        k += np.int64((_ONE << length) - _ONE) + np.int64(x & ((_ONE << length) - _ONE))
        x, at = _renew(x >> length, words, at, last)
    if shift:
        count = np.uint64(shift)
        k = (k << shift) | np.int64(x & ((_ONE << count) - _ONE))
        x, at = _renew(x >> count, words, at, last)
    return x, at, k


@njit(**INLINE)
def _take(x, at, way, kept, last, t, offset, step, free, words, values, signs, tables):
    """Takes a coordinate; returns state, place among the words, trellis and kept signs."""
    axis_scales, shifts, starts, slices, sizes, ways = tables
    m = np.int64(min(max(axis_scales[t] + offset, np.int32(0)), np.int32(shifts.size - 1)))
    table = np.uint64(2 * m + np.int64(way & np.uint64(1)))
    slot = x & _SLOTS
    symbol = _symbol_of(np.int64(starts.ctypes.data) + np.int64(table << np.uint64(5)), slot)
    entry = (table << np.uint64(4)) + np.uint64(symbol)
    x, at = _renew(_advance(x, slices[entry], slot), words, at, last)
    value = sizes[entry]
    k = symbol
    shift = shifts[np.uint64(m)]
    if (k == SYMBOLS - 1) | (shift > 0):
        x, at, k = _more_of(x, words, at, last, k, shift)
        if k >= POINTS:
            value = np.float32(2 * k - np.int64(way & np.uint64(1)))
        else:
            value = sizes[(table << np.uint64(4)) + np.uint64(k)]
    nonzero = np.uint64(k > 0)
    # A row that keeps its first signs has `free` 16, and another one 0.
    signed = nonzero & np.uint64(kept >= free)
    signs[kept] = t
    kept = min(kept + nonzero, np.uint64(FREE_SIGNS))
    size = value * step
    values[t] = -size if x & signed else size
    x, at = _renew(x >> signed, words, at, last)
    way = np.uint64(ways[(way & ~_ONE) + (np.uint64(k) & _ONE)])
    return x, at, way, kept


@njit(**_EXACT)
def _open(lane, place, end, data, words, states, ats, lasts):
    """Copies a block's words to a lane, and reads its first state."""
    length = end - place
    x = np.uint64(0)
    for i in range(3):
        x |= np.uint64(data[place + i]) << np.uint64(8 * i)
    if length % 2 == 0:
        x |= np.uint64(data[end - 1]) << np.uint64(24)
    count = min((length - 3) // 2, words.shape[1] - 1)
    first = place + 3
    for i in range(count):
        low, high = data[first + 2 * i], data[first + 2 * i + 1]
        words[lane, i] = np.uint16(low) | np.uint16(high) << np.uint16(8)
    words[lane, count] = 0
    states[lane], ats[lane], lasts[lane] = max(x, _LOW), 0, count


@njit(**_EXACT)
def _begin_row(lane, classes, class_table, words, states, ats, lasts, offsets, steps):
    """Reads a row's class."""
    class_slices, class_offsets, class_steps = class_table
    slot = states[lane] & _SLOTS
    which = classes[slot]
    x = _advance(states[lane], class_slices[which], slot)
    states[lane], ats[lane] = _renew(x, words[lane], ats[lane], lasts[lane])
    offsets[lane], steps[lane] = class_offsets[which], class_steps[which]


@njit(**_EXACT)
def _give_signs(x, kept, signs, values):
    """Gives coordinates the signs that the first state holds."""
    for i in range(kept):
        if x >> np.uint64(i) & _ONE:
            values[signs[i]] *= np.float32(-1)


@njit(**_EXACT)
def _read_rows(count, frees, words, states, ats, lasts, offsets, steps, signs, values, tables):
    """Reads a row of each of four lanes, or of the first."""
    num_axes = values.shape[1]
    zero = np.uint64(0)
    if count == 1:
        x, at, way, kept, last = states[0], ats[0], zero, zero, lasts[0]
        w, v, s, o, p, f = words[0], values[0], signs[0], offsets[0], steps[0], frees[0]
        for t in range(num_axes):
            x, at, way, kept = _take(x, at, way, kept, last, t, o, p, f, w, v, s, tables)
        states[0], ats[0] = x, at
        if f:
            _give_signs(x, kept, s, v)
        return
    x0, x1, x2, x3 = states[0], states[1], states[2], states[3]
    at0, at1, at2, at3 = ats[0], ats[1], ats[2], ats[3]
    way0 = way1 = way2 = way3 = zero
    kept0 = kept1 = kept2 = kept3 = zero
    last0, last1, last2, last3 = lasts[0], lasts[1], lasts[2], lasts[3]
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    v0, v1, v2, v3 = values[0], values[1], values[2], values[3]
    s0, s1, s2, s3 = signs[0], signs[1], signs[2], signs[3]
    o0, o1, o2, o3 = offsets[0], offsets[1], offsets[2], offsets[3]
    p0, p1, p2, p3 = steps[0], steps[1], steps[2], steps[3]
    f0, f1, f2, f3 = frees[0], frees[1], frees[2], frees[3]
    for t in range(num_axes):
        x0, at0, way0, kept0 = _take(x0, at0, way0, kept0, last0, t, o0, p0, f0, w0, v0, s0, tables)
        x1, at1, way1, kept1 = _take(x1, at1, way1, kept1, last1, t, o1, p1, f1, w1, v1, s1, tables)
        x2, at2, way2, kept2 = _take(x2, at2, way2, kept2, last2, t, o2, p2, f2, w2, v2, s2, tables)
        x3, at3, way3, kept3 = _take(x3, at3, way3, kept3, last3, t, o3, p3, f3, w3, v3, s3, tables)
    states[0], states[1], states[2], states[3] = x0, x1, x2, x3
    ats[0], ats[1], ats[2], ats[3] = at0, at1, at2, at3
    if f0:
        _give_signs(x0, kept0, s0, v0)
    if f1:
        _give_signs(x1, kept1, s1, v1)
    if f2:
        _give_signs(x2, kept2, s2, v2)
    if f3:
        _give_signs(x3, kept3, s3, v3)


@njit(**_EXACT)
def _read_wanted(places, ends, rows, wanted, into, compiled):
    """Reads rows of blocks.

    Args:
        places: Where each block begins, int64 ``(n,)``.
        ends: Where it ends.
        rows: Rows in each.
        wanted: Which rows of blocks are kept, int64 ``(m, 2)``: the block's number here and the
            row's in it, both ascending.
        into: float32 ``(m, T)``, written.
        compiled: What blocks are read by.
    """
    (data, axis_scales, classes, class_slices, class_offsets, class_steps, ways, shifts, starts,
     slices, sizes) = compiled  # fmt: skip
    class_table = class_slices, class_offsets, class_steps
    tables = axis_scales, shifts, starts, slices.ravel(), sizes.ravel(), ways
    num_axes = into.shape[1]
    # No row takes more words than one for its class and five for each coordinate.
    longest = 0
    for block in range(places.size):
        longest = max(longest, min((ends[block] - places[block]) // 2, rows[block] * (5 * num_axes + 1)))
    words = np.empty((_LANES, longest + 1), np.uint16)
    values = np.empty((_LANES, num_axes), np.float32)
    signs = np.empty((_LANES, FREE_SIGNS + 1), np.int64)
    states, ats, lasts, frees = (
        np.zeros(_LANES, np.uint64), np.zeros(_LANES, np.uint64), np.zeros(_LANES, np.uint64),
        np.zeros(_LANES, np.uint64),
    )  # fmt: skip
    offsets, steps = np.zeros(_LANES, np.int32), np.zeros(_LANES, np.float32)
    first, at = 0, 0
    while first < places.size:
        count = _LANES if places.size - first >= _LANES else 1
        for lane in range(count):
            block = first + lane
            _open(lane, places[block], ends[block], data, words, states, ats, lasts)
        end = at
        most = 0
        while end < len(wanted) and wanted[end, 0] < first + count:
            most = max(most, wanted[end, 1])
            end += 1
        for row in range(most + 1):
            # Lanes whose rows are not wanted any more, or have ended, are read to no purpose.
            for lane in range(count):
                _begin_row(lane, classes, class_table, words, states, ats, lasts, offsets, steps)
                frees[lane] = FREE_SIGNS if row == rows[first + lane] - 1 else 0
            _read_rows(count, frees, words, states, ats, lasts, offsets, steps, signs, values, tables)
            for i in range(at, end):
                if wanted[i, 1] == row:
                    into[i] = values[wanted[i, 0] - first]
        at = end
        first += count


@njit(**_EXACT)
def _read_blocks(thread, threads, places, ends, rows, values, compiled):
    blocks, group, num_axes = values.shape
    first, last = thread * blocks // threads, (thread + 1) * blocks // threads
    values[first:last] = 0
    wanted = np.empty((_TILE_ROWS + group, 2), np.int64)
    into = np.empty((_TILE_ROWS + group, num_axes), np.float32)
    step = max(1, _TILE_ROWS // group // _LANES * _LANES)
    for tile in range(first, last, step):
        end = min(tile + step, last)
        count = 0
        for block in range(tile, end):
            for row in range(rows[block]):
                wanted[count, 0], wanted[count, 1] = block - tile, row
                count += 1
        _read_wanted(
            places[tile:end], ends[tile:end], rows[tile:end], wanted[:count], into, compiled
        )
        for i in range(count):
            values[tile + wanted[i, 0], wanted[i, 1]] = into[i]


@njit(**_EXACT)
def _bounds(block, stream, size):
    """Returns where a block begins and ends; a damaged file's are kept in it."""
    starts, lengths, bits, least = stream
    chunk, inside = block // _CHUNK, block % _CHUNK
    mask = (_ONE << np.uint64(bits)) - _ONE
    place, length = np.int64(starts[chunk]), np.int64(0)
    waiting, held, byte = np.uint64(0), 0, 0
    for _ in range(inside + 1):
        place += length
        while held < bits:
            waiting |= np.uint64(lengths[chunk, byte]) << np.uint64(held)
            held += 8
            byte += 1
        length = np.int64(waiting & mask) + least
        waiting >>= np.uint64(bits)
        held -= bits
    place = min(place, size - 3)
    return place, min(max(place + length, place + 3), size)


@njit(**_EXACT)
def _rotate(coordinates, axes, out):
    """Multiplies coordinates by the axes; for a row the same bits, however many there are."""
    if len(coordinates) >= _FEW_ROWS:
        product(coordinates, False, axes, out, False)
        return
    out[:] = 0
    for i in range(len(coordinates)):
        _add_up(coordinates[i], axes, out[i])


@njit(**JIT)
def _add_up(coordinates, axes, out):
    """Adds up axes in the order in which ``product`` does, each by a multiply-add."""
    num_axes, dim = axes.shape
    whole = num_axes // 4 * 4
    for t in range(0, whole, 4):
        p, q, r, s = coordinates[t], coordinates[t + 1], coordinates[t + 2], coordinates[t + 3]
        a, b, c, d = axes[t], axes[t + 1], axes[t + 2], axes[t + 3]
        for i in range(dim):
            out[i] = s * d[i] + (r * c[i] + (q * b[i] + (p * a[i] + out[i])))
    for t in range(whole, num_axes):
        p, a = coordinates[t], axes[t]
        for i in range(dim):
            out[i] = p * a[i] + out[i]


@njit(**_EXACT)
def _add_residuals(thread, threads, rows, places, total, compiled, stream, sizes, axes, mean):
    group, num_rows = sizes
    num_axes, dim = axes.shape
    first, last = thread * rows.size // threads, (thread + 1) * rows.size // threads
    tile_rows = min(_TILE_ROWS, last - first)
    begins, ends, counts = (
        np.empty(tile_rows, np.int64), np.empty(tile_rows, np.int64), np.empty(tile_rows, np.int64)
    )  # fmt: skip
    wanted = np.empty((tile_rows, 2), np.int64)
    coordinates = np.empty((tile_rows, num_axes), np.float32)
    out = np.empty((tile_rows, dim), np.float32)
    for tile in range(first, last, _TILE_ROWS):
        end = min(tile + _TILE_ROWS, last)
        blocks, before = 0, -1
        for i in range(tile, end):
            block = rows[i] // group
            if block != before:
                begins[blocks], ends[blocks] = _bounds(block, stream, compiled[0].size)
                counts[blocks] = min(group, num_rows - block * group)
                blocks += 1
                before = block
            wanted[i - tile, 0], wanted[i - tile, 1] = blocks - 1, rows[i] % group
        n = end - tile
        _read_wanted(
            begins[:blocks], ends[:blocks], counts[:blocks], wanted[:n], coordinates, compiled
        )
        _rotate(coordinates[:n], axes, out[:n])
        for i in range(n):
            row = total[places[tile + i]]
            for d in range(dim):
                row[d] += out[i, d] + mean[d]


def read_blocks(thread, threads, barrier, places, ends, rows, values, reader):
    """Reads blocks of bytes to coordinates."""
    _read_blocks(thread, threads, places, ends, rows, values, tuple(reader.compiled))


def add_residuals(thread, threads, barrier, rows, places, total, reader, axes, mean):
    """Adds the residuals of rows."""
    _add_residuals(
        thread, threads, rows, places, total, tuple(reader.compiled), *reader.index, axes, mean
    )
