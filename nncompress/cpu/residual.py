"""Reading the blocks of a residual stage, and turning coordinates back into rows.

``nncompress.embedding.residual_kernels`` documents what each function computes, and computes the
same coordinates, bit for bit. Here a row has the same bits however many rows are requested, which
NumPy's products do not guarantee. Each symbol must wait for the one before it, so the symbols of
four blocks are read in turn, and the processor works on all of them at once. There are branches
only for large levels: whether a word or a sign is taken is a matter of arithmetic.
"""

from weakref import WeakKeyDictionary

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.intrinsics import choose, float_to_bits, load, store
from nncompress.cpu.panels import packed
from nncompress.cpu.product import product
from nncompress.cpu.trellis import POINTS, SYMBOLS

FREE_SIGNS = 16  # kept in a block's first state
_CHUNK = 32  # blocks whose places follow from one number and their lengths
_LANES = 4
_TILE_ROWS = 60  # a multiple of the lanes, and of the rows of a product's tile
# The places of frequencies and values in a 256-byte record; see ``residual_kernels.Compiled``.
_RECORD, _PIECES, _SIZES = 256, 32, 96
_FEW_ROWS = 3
_LOW = np.uint64(1 << 16)
_EXACT = {**JIT, "fastmath": False}
_PACKED_AXES: WeakKeyDictionary = WeakKeyDictionary()  # by the reader of their stage


@intrinsic
def _symbol_of(typingctx, record, slot):
    """Returns the symbol of a slot.

    Args:
        typingctx: Numba's typing context.
        record: Address of the last slots of 16 symbols, int16.
        slot: int64, below 4096.
    """

    def codegen(context, builder, signature, arguments):
        record, slot = arguments
        short = ir.IntType(16)
        vector = ir.VectorType(short, SYMBOLS)
        undefined = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(undefined, builder.trunc(slot, short), ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), SYMBOLS), [0] * SYMBOLS)
        slots = builder.shuffle_vector(one, undefined, zeros)
        table = builder.load(builder.inttoptr(record, vector.as_pointer()), align=2)
        passed = builder.bitcast(builder.icmp_signed(">", slots, table), short)
        return builder.zext(builder.ctpop(passed), ir.IntType(64))

    return types.int64(types.int64, types.int64), codegen


@njit(**INLINE)
def _renew(x, words, at):
    """Takes a word if the state has become small."""
    more = (x << np.uint64(16)) | np.uint64(load(np.uint16(0), words, at))
    small = x < _LOW
    return choose(small, more, x), at + np.int64(small)


@njit(**INLINE)
def _advance(x, piece, slot):
    """Returns the state after a symbol."""
    whole = np.uint64(piece & 0xFFFF) * (x >> np.uint64(12))
    return whole + np.uint64(slot) - np.uint64(piece >> 16 & 0xFFF)


@njit(**INLINE)
def _low_bits(x, count):
    """Returns the low bits of a state, int64."""
    return np.int64(x & np.uint64((1 << count) - 1))


@njit(**INLINE)
def _more_of(x, words, at, k, shift):
    """Takes the bits of a level beyond its symbol."""
    if k == SYMBOLS - 1:
        length = _low_bits(x, 4)
        x, at = _renew(x >> np.uint64(4), words, at)
        k += (1 << length) - 1 + _low_bits(x, length)
        x, at = _renew(x >> np.uint64(length), words, at)
    if shift:
        k = (k << shift) | _low_bits(x, shift)
        x, at = _renew(x >> np.uint64(shift), words, at)
    return x, at, k


@njit(**INLINE)
def _take(x, at, way, kept, t, lane, tables, early):
    """Takes a coordinate; returns the state, the place in the words, the path and the kept signs.

    ``way`` is 256 times ``2s + c``. While ``early`` is set, the places of the row's up to 16
    ``free`` signs are noted.
    """
    words, scales, free, values, signs = lane
    records, shifts, ways = tables
    scale = np.int64(load(np.int32(0), scales, t))
    record = records + (scale << 9) + (way & _RECORD)
    slot = _low_bits(x, 12)
    symbol = _symbol_of(record, slot)
    piece = np.int64(load(np.int32(0), record + _PIECES, symbol))
    x, at = _renew(_advance(x, piece, slot), words, at)
    size = load(np.int32(0), record + _SIZES, symbol)
    k = symbol
    if piece < 0:
        x, at, k = _more_of(x, words, at, k, load(np.int64(0), shifts, scale))
        if k < POINTS:
            size = load(np.int32(0), record + _SIZES, k)
        else:
            size = float_to_bits(np.float32(2 * k - (way >> 8 & 1)))
    signed = np.int64(k > 0)
    if early:
        store(t, signs, kept)
        nonzero = signed
        signed &= np.int64(kept >= free)
        kept = min(kept + nonzero, FREE_SIGNS)
    store(np.int32(size ^ np.int32((np.int64(x) & signed) << 31)), values, t)
    x, at = _renew(x >> np.uint64(signed), words, at)
    return x, at, np.int64(load(np.int32(0), ways, (way >> 7) + (k & 1))), kept


@njit(**_EXACT)
def _open(lane, place, end, most, data, words, states, ats, counts):
    """Copies a block's words to a lane, with zeros after them, and reads its first state."""
    length = end - place
    x = np.uint64(0)
    for i in range(3):
        x |= np.uint64(data[place + i]) << np.uint64(8 * i)
    if length % 2 == 0:
        x |= np.uint64(data[end - 1]) << np.uint64(24)
    count = min((length - 3) // 2, most)
    first = place + 3
    for i in range(count):
        low, high = data[first + 2 * i], data[first + 2 * i + 1]
        words[lane, i] = np.uint16(low) | np.uint16(high) << np.uint16(8)
    words[lane, count : counts[lane]] = 0
    states[lane], ats[lane], counts[lane] = max(x, _LOW), 0, count


@njit(**_EXACT)
def _begin_row(lane, axis_scales, last_scale, class_table, words, states, ats, scales, steps):
    """Reads a row's class, and finds the scales of its axes."""
    classes, class_pieces, class_offsets, class_steps = class_table
    slot = _low_bits(states[lane], 12)
    which = classes[slot]
    x = _advance(states[lane], np.int64(class_pieces[which]), slot)
    row_words = np.int64(words[lane].ctypes.data)
    states[lane], ats[lane] = _renew(x, row_words, ats[lane])
    offset = class_offsets[which]
    steps[lane] = class_steps[which]
    for t in range(axis_scales.size):
        scales[lane, t] = min(max(axis_scales[t] + offset, np.int32(0)), last_scale)


@njit(**_EXACT)
def _give_signs(x, kept, signs, values):
    """Gives coordinates the signs that are kept in the first state."""
    for i in range(kept):
        if x >> np.uint64(i) & np.uint64(1):
            values[signs[i]] = -values[signs[i]]


@njit(**INLINE)
def _lane(number, words, scales, frees, values, signs):
    """Returns the arguments for reading a lane, with arrays as addresses."""
    return (
        np.int64(words[number].ctypes.data),
        np.int64(scales[number].ctypes.data), frees[number],
        np.int64(values[number].ctypes.data), np.int64(signs[number].ctypes.data),
    )  # fmt: skip


@njit(**_EXACT)
def _read_row(num_axes, states, ats, lane, tables):
    """Reads a row in the first lane; returns the number of signs that it keeps."""
    x, at, way, kept, t = states[0], ats[0], 0, 0, 0
    while t < num_axes and kept < lane[2]:
        x, at, way, kept = _take(x, at, way, kept, t, lane, tables, True)
        t += 1
    while t < num_axes:
        x, at, way, kept = _take(x, at, way, kept, t, lane, tables, False)
        t += 1
    states[0], ats[0] = x, at
    return kept


@njit(**_EXACT)
def _read_row_of_four(num_axes, states, ats, kept, lanes, tables):
    """Reads a row in each of four lanes; ``kept`` gets the number of signs that each keeps."""
    a, b, c, d = lanes
    x0, x1, x2, x3 = states[0], states[1], states[2], states[3]
    at0, at1, at2, at3 = ats[0], ats[1], ats[2], ats[3]
    w0 = w1 = w2 = w3 = 0
    k0 = k1 = k2 = k3 = 0
    t = 0
    while t < num_axes and (k0 < a[2]) | (k1 < b[2]) | (k2 < c[2]) | (k3 < d[2]):
        x0, at0, w0, k0 = _take(x0, at0, w0, k0, t, a, tables, True)
        x1, at1, w1, k1 = _take(x1, at1, w1, k1, t, b, tables, True)
        x2, at2, w2, k2 = _take(x2, at2, w2, k2, t, c, tables, True)
        x3, at3, w3, k3 = _take(x3, at3, w3, k3, t, d, tables, True)
        t += 1
    while t < num_axes:
        x0, at0, w0, k0 = _take(x0, at0, w0, k0, t, a, tables, False)
        x1, at1, w1, k1 = _take(x1, at1, w1, k1, t, b, tables, False)
        x2, at2, w2, k2 = _take(x2, at2, w2, k2, t, c, tables, False)
        x3, at3, w3, k3 = _take(x3, at3, w3, k3, t, d, tables, False)
        t += 1
    states[0], states[1], states[2], states[3] = x0, x1, x2, x3
    ats[0], ats[1], ats[2], ats[3] = at0, at1, at2, at3
    kept[0], kept[1], kept[2], kept[3] = k0, k1, k2, k3


@njit(**_EXACT)
def _read_wanted(places, ends, rows, wanted, into, compiled):
    """Reads rows of blocks.

    Args:
        places: The beginning of each block, int64 ``(n,)``.
        ends: The end of each block.
        rows: The number of rows in each block.
        wanted: The rows to keep, int64 ``(m, 2)``: the block's number here and the row's number in
            it, both ascending.
        into: float32 ``(m, T)``, written.
        compiled: The compiled tables that blocks are read with.
    """
    data, axis_scales, ways, shifts, records = compiled[:5]
    class_table = compiled[5:]
    tables = (
        np.int64(records.ctypes.data), np.int64(shifts.ctypes.data), np.int64(ways.ctypes.data)
    )  # fmt: skip
    num_axes = into.shape[1]
    # No row takes more than one word for its class and five for each coordinate, so no read goes
    # beyond these.
    most_words = max(1, rows.max()) * (5 * num_axes + 1)
    num_lanes = min(_LANES, places.size)
    words = np.zeros((num_lanes, most_words + 1), np.uint16)
    values = np.empty((num_lanes, num_axes), np.float32)
    scales = np.empty((num_lanes, num_axes), np.int32)
    signs = np.empty((num_lanes, FREE_SIGNS + 1), np.int64)
    states = np.zeros(num_lanes, np.uint64)
    ats, counts, frees, kept = np.zeros((4, num_lanes), np.int64)
    steps = np.zeros(num_lanes, np.float32)
    first, at = 0, 0
    while first < places.size:
        count = _LANES if places.size - first >= _LANES else 1
        for lane in range(count):
            block = first + lane
            _open(lane, places[block], ends[block], most_words, data, words, states, ats, counts)
        end = at
        most = 0
        while end < len(wanted) and wanted[end, 0] < first + count:
            most = max(most, wanted[end, 1])
            end += 1
        for row in range(most + 1):
            # Lanes whose rows have ended or are no longer wanted are read in vain.
            for lane in range(count):
                _begin_row(
                    lane, axis_scales, np.int32(shifts.size - 1), class_table, words, states, ats,
                    scales, steps,
                )  # fmt: skip
                frees[lane] = FREE_SIGNS if row == rows[first + lane] - 1 else 0
            arrays = words, scales, frees, values, signs
            if count == 1:
                kept[0] = _read_row(num_axes, states, ats, _lane(0, *arrays), tables)
            else:
                lanes = (
                    _lane(0, *arrays), _lane(1, *arrays), _lane(2, *arrays), _lane(3, *arrays)
                )  # fmt: skip
                _read_row_of_four(num_axes, states, ats, kept, lanes, tables)
            for lane in range(count):
                if frees[lane]:
                    _give_signs(states[lane], kept[lane], signs[lane], values[lane])
            for i in range(at, end):
                if wanted[i, 1] == row:
                    lane = wanted[i, 0] - first
                    into[i] = values[lane] * steps[lane]
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
    """Returns the beginning and end of a block, kept within the file even if it is damaged."""
    starts, lengths, bits, least = stream
    chunk, inside = block // _CHUNK, block % _CHUNK
    mask = (1 << bits) - 1
    place, length = np.int64(min(np.uint64(starts[chunk]), np.uint64(size))), 0
    waiting, held, byte = 0, 0, 0
    for _ in range(inside + 1):
        place += length
        while held < bits:
            waiting |= np.int64(lengths[chunk, byte]) << held
            held += 8
            byte += 1
        length = (waiting & mask) + least
        waiting >>= bits
        held -= bits
    place = max(min(place, size - 3), 0)
    return place, min(max(place + length, place + 3), size)


@njit(**_EXACT)
def _rotate(coordinates, axes, packed_axes, out):
    """Multiplies coordinates by the axes; a row gets the same bits however many rows there are."""
    if len(coordinates) >= _FEW_ROWS:
        product(coordinates, np.bool_(False), packed_axes, out, np.bool_(False))
        return
    out[:] = 0
    for i in range(len(coordinates)):
        _add_up(coordinates[i], axes, out[i])


@njit(**JIT)
def _add_up(coordinates, axes, out):
    """Adds up axes in the same order as ``product``, each by a multiply-add."""
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
def _add_residuals(
    thread, threads, rows, places, clusters, total, compiled, stream, sizes, centres, axes,
    packed_axes, mean,
):  # fmt: skip
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
        for i in range(n):
            centre = centres[clusters[tile + i]]
            for t in range(num_axes):
                coordinates[i, t] += centre[t]
        _rotate(coordinates[:n], axes, packed_axes, out[:n])
        for i in range(n):
            row = total[places[tile + i]]
            for d in range(dim):
                row[d] += out[i, d] + mean[d]


def read_blocks(thread, threads, barrier, places, ends, rows, values, reader):
    """Reads blocks of bytes into coordinates."""
    _read_blocks(thread, threads, places, ends, rows, values, tuple(reader.compiled))


def add_residuals(
    thread, threads, barrier, rows, places, clusters, total, reader, centres, axes, mean
):
    """Adds the residuals of rows."""
    _add_residuals(
        thread,
        threads,
        rows,
        places,
        clusters,
        total,
        tuple(reader.compiled),
        *reader.index,
        centres,
        axes,
        _packed(reader, axes),
        mean,
    )


def _packed(reader, axes):
    """Returns the packed axes; they are packed once for each stage."""
    if reader not in _PACKED_AXES:
        _PACKED_AXES[reader] = packed(axes)
    return _PACKED_AXES[reader]
