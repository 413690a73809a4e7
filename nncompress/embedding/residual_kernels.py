"""Reading the levels of a residual stage, in NumPy alone.

``nncompress.cpu.residual`` has the same functions, compiled. Many blocks are read side by side,
one coordinate of all of them at a time; a few are read one after the other (``residual_alone``).
"""

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nncompress.embedding.residual_alone import FREE_SIGNS, LOW, POINTS, SYMBOLS, AloneReader
from nncompress.embedding.trellis_code import trellis_code
from nncompress.errors import FormatError

if TYPE_CHECKING:
    from nncompress.embedding.residual import EntropyTables, Residual, Stream

# Fewer blocks than this are read faster one after the other.
_FEW = 100
_MOST_SHIFT = 15
_MORE = np.int32(-(1 << 31))


class Reading(NamedTuple):
    """The parameters for writing levels.

    Attributes:
        axis_scales: The scale of each axis, int32 ``(T,)``.
        class_offsets: The offset that a row's class adds to it, int32 ``(R,)``.
        shifts: The number of low bits of a level outside its symbol, int64 ``(scales,)``.
    """

    axis_scales: np.ndarray
    class_offsets: np.ndarray
    shifts: np.ndarray


# The record of a scale and quantizer, for reading levels.
_RECORD = np.dtype(
    [("lasts", "i2", SYMBOLS), ("pieces", "i4", SYMBOLS), ("sizes", "f4", SYMBOLS), ("_", "V96")]
)


class Compiled(NamedTuple):
    """The arrays from which compiled kernels read blocks.

    Attributes:
        data: The blocks, uint8.
        axis_scales: The scale of each axis, int32 ``(T,)``.
        ways: 256 times ``2s + c`` for the next state s and its quantizer c, indexed by ``2s + c``
            of the state and the parity of the level, int32 ``(S, 2, 2)``.
        shifts: The number of low bits of a level outside its symbol, int64 ``(scales,)``.
        records: 256 bytes for each scale and quantizer, uint8 ``(scales, 2, 256)``: the last slots
            of the 16 symbols, int16; their ``pieces``, int32; and the values of levels 0 to 15 in
            steps, float32. A piece is the frequency plus the first slot times ``2**16``, negative
            if the symbol is not the whole level.
        classes: The row class of each slot, uint8 ``(4096,)``.
        class_pieces: Pieces of the classes, like those of symbols, int32 ``(R,)``.
        class_offsets: The offset that a row's class adds to the scales, int32 ``(R,)``.
        class_steps: float32 ``(R,)``.
    """

    data: np.ndarray
    axis_scales: np.ndarray
    ways: np.ndarray
    shifts: np.ndarray
    records: np.ndarray
    classes: np.ndarray
    class_pieces: np.ndarray
    class_offsets: np.ndarray
    class_steps: np.ndarray


class Reader:
    """Reads the blocks of a stage.

    Args:
        residual: The stage.

    Attributes:
        stream: Its blocks.
        pieces: As in the records of ``Compiled``, int32 ``(scales, 2, 16)``.
        sizes: The values of levels 0 to 15 in steps, float32 ``(scales, 2, 16)``.
        compiled: The arrays for compiled kernels.
        index: Where these kernels find blocks: the stream's ``starts``, ``lengths``,
            ``length_bits``, ``least_length``, ``block_rows`` and ``num_rows``.

    Raises:
        FormatError: The stage's arrays do not match each other.
    """

    def __init__(self, residual: "Residual") -> None:
        _check(residual)
        self.stream: Stream = residual.stream
        tables: EntropyTables = residual.tables
        self._frequencies = tables.frequencies
        code = trellis_code(residual.state_bits)
        classes, class_starts = slots_of(tables.class_frequencies)
        frequencies, starts = tables.frequencies.astype(np.int32), starts_of(tables.frequencies)
        shifts = np.minimum(tables.shifts, _MOST_SHIFT).astype(np.int64)
        self.pieces = frequencies | starts.astype(np.int32) << 16
        self.pieces[shifts > 0] |= _MORE
        self.pieces[:, :, -1] |= _MORE
        self.sizes = np.empty(self.pieces.shape, np.float32)
        for c in range(2):
            self.sizes[:, c] = 2 * np.arange(SYMBOLS) - c
        self.sizes[:, :, :POINTS] = tables.points
        records = np.zeros(self.pieces.shape[:2], _RECORD)
        records["lasts"] = starts + frequencies - 1
        records["pieces"], records["sizes"] = self.pieces, self.sizes
        # The quantizer does not matter here: the state determines it.
        ways = (2 * code.next_states + code.quantizers[code.next_states]).astype(np.int32) << 8
        stream = self.stream
        self.compiled = Compiled(
            np.asarray(stream.data),
            residual.coded_scales,
            np.repeat(ways[:, None], 2, axis=1),
            shifts,
            records.view(np.uint8).reshape(-1, 2, _RECORD.itemsize),
            classes,
            tables.class_frequencies.astype(np.int32) | class_starts.astype(np.int32) << 16,
            tables.class_offsets.astype(np.int32),
            tables.class_steps.astype(np.float32),
        )
        self.index = (
            (
                np.asarray(stream.starts), np.asarray(stream.lengths), stream.length_bits,
                stream.least_length,
            ),
            (stream.block_rows, stream.num_rows),
        )  # fmt: skip

    @cached_property
    def symbols(self) -> np.ndarray:
        """The symbol of each slot, uint8 ``(scales * 2 * 4096,)``, computed on first use."""
        return slots_of(self._frequencies)[0].ravel()

    @cached_property
    def alone(self) -> AloneReader:
        """The reader of single blocks, made on first use."""
        return AloneReader(self)

    def scales_of(self, classes: np.ndarray) -> np.ndarray:
        """Returns the scales of the axes for row classes, int64 ``(T, n)``."""
        compiled = self.compiled
        scales = compiled.axis_scales[:, None] + compiled.class_offsets[classes].astype(np.int64)
        return np.clip(scales, 0, len(compiled.shifts) - 1, out=scales)


def _check(residual: "Residual") -> None:
    """Refuses arrays that kernels, which check no bounds, would read outside of."""
    tables, stream = residual.tables, residual.stream
    scales, classes = len(tables.shifts), len(tables.class_steps)
    chunks = -(-stream.num_blocks // 32)
    wanted: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "frequencies": (tables.frequencies.shape, (scales, 2, SYMBOLS)),
        "points": (tables.points.shape, (scales, 2, POINTS)),
        "class frequencies": (tables.class_frequencies.shape, (classes,)),
        "class offsets": (tables.class_offsets.shape, (classes,)),
        "scales of axes": (tables.axis_scales.shape, residual.mean.shape),
        "places of blocks": (stream.starts.shape, (chunks,)),
        "lengths of blocks": (stream.lengths.shape, (chunks, 4 * stream.length_bits)),
    }
    for name, (found, shape) in wanted.items():
        if found != shape:
            raise FormatError(f"{name} of shape {found} in a residual stage; wanted {shape}")
    for name, number, most in (("scales", scales, 4096), ("row classes", classes, 256)):
        if not 1 <= number <= most:
            raise FormatError(f"{number} {name} in a residual stage; wanted 1 to {most}")
    for frequencies in (tables.frequencies, tables.class_frequencies):
        if (frequencies.sum(axis=-1, dtype=np.int64) != 4096).any():
            raise FormatError("the frequencies of a residual stage do not add up to 4,096")
    if len(stream.data) < 3 * stream.num_blocks:
        raise FormatError(
            f"{stream.num_blocks} blocks in {len(stream.data)} bytes; wanted at least 3 bytes each"
        )


def read_blocks(
    places: np.ndarray, ends: np.ndarray, rows: np.ndarray, values: np.ndarray, reader: Reader
) -> None:
    """Decodes blocks of bytes to coordinates.

    Args:
        places: The start of each block in the stream's bytes, int64 ``(n,)``.
        ends: Its end, at least 3 bytes later.
        rows: The number of rows in each, int64 ``(n,)``.
        values: The output, float32 ``(n, G, T)``; 0 past a block's rows.
        reader: The reader with the stage's tables.
    """
    if len(places) < _FEW:
        for place, end, count, block in zip(
            places.tolist(), ends.tolist(), rows.tolist(), values, strict=True
        ):
            reader.alone.read(place, end, count, block)
        return
    compiled = reader.compiled
    states, words, at, last_words = _words(places, ends, compiled.data)

    def renew(here: np.ndarray | None = None) -> None:
        """Reads a word where the state has become small."""
        small = np.flatnonzero(states < LOW) if here is None else here[states[here] < LOW]
        if small.size:
            place = at[small]
            states[small] = states[small] << 16 | words[place]
            at[small] = np.minimum(place + 1, last_words[small])

    def advance(slots: np.ndarray, pieces: np.ndarray) -> None:
        """Consumes a symbol."""
        nonlocal states
        states >>= 12
        states *= pieces & 0xFFFF
        states += slots
        states -= pieces >> 16 & 0xFFF
        renew()

    def take(count: np.ndarray | int, here: np.ndarray) -> np.ndarray:
        """Reads raw bits from some blocks."""
        bits = states[here] & ((1 << count) - 1)
        states[here] >>= count
        renew(here)
        return bits

    pieces, sizes = reader.pieces.ravel().astype(np.int64), reader.sizes.ravel()
    ways = (compiled.ways >> 8).astype(np.intp).ravel()
    num_axes = values.shape[2]
    by_axis = np.empty((num_axes, len(places)), np.float32)
    for row in range(values.shape[1]):
        live, last = row < rows, row == rows - 1
        slots = states & 4095
        which = compiled.classes[slots]
        advance(slots, compiled.class_pieces[which].astype(np.int64))
        scales = reader.scales_of(which)
        shifted = (compiled.shifts[scales] > 0).any(axis=1)
        trellis = np.zeros(len(places), np.intp)
        signless = np.where(last, 0, FREE_SIGNS)
        waiting = np.full((len(places), FREE_SIGNS), -1)
        all_signs = not np.any(last)
        for t in range(num_axes):
            m = scales[t]
            table = 2 * m + (trellis & 1)
            slots = states & 4095
            symbol = reader.symbols.take((table << 12) + slots)
            entry = (table << 4) + symbol
            advance(slots, pieces.take(entry))
            value, k = sizes.take(entry), symbol
            large = np.flatnonzero(symbol == SYMBOLS - 1)
            if large.size or shifted[t]:
                k = symbol.astype(np.int64)
                if large.size:
                    size = take(4, large)
                    k[large] += (1 << size) - 1 + take(size, large)
                shift = compiled.shifts[m]
                low = np.flatnonzero(shift)
                if low.size:
                    k[low] = k[low] << shift[low] | take(shift[low], low)
                beyond = np.flatnonzero((symbol == SYMBOLS - 1) | (shift > 0))
                levels, c = k[beyond], trellis[beyond] & 1
                few = sizes[(table[beyond] << 4) + np.minimum(levels, SYMBOLS - 1)]
                value[beyond] = np.where(levels < POINTS, few, 2 * levels - c)
            nonzero = k > 0
            signed = nonzero
            if not all_signs:
                free = nonzero & (signless < FREE_SIGNS)
                here = np.flatnonzero(free)
                waiting[here, signless[here]] = t
                signless[here] += 1
                all_signs = bool((signless == FREE_SIGNS).all())
                signed = nonzero & ~free
            sign = states & signed
            states >>= signed
            renew()
            np.negative(value, out=value, where=sign > 0)
            by_axis[t] = value
            trellis = ways.take(2 * trellis + (k & 1))
        by_axis *= compiled.class_steps[which]
        for i in range(FREE_SIGNS):
            here = np.flatnonzero((waiting[:, i] >= 0) & ((states >> i & 1) > 0))
            by_axis[waiting[here, i], here] *= -1
        values[:, row] = np.where(live[:, None], by_axis.T, np.float32(0))


def add_residuals(
    rows: np.ndarray,
    places: np.ndarray,
    clusters: np.ndarray,
    total: np.ndarray,
    reader: Reader,
    centres: np.ndarray,
    axes: np.ndarray,
    mean: np.ndarray,
) -> None:
    """Adds the residuals of rows.

    Args:
        rows: Row numbers in ascending order, int64 ``(n,)``.
        places: The rows of ``total`` that they are added to, all different, int64 ``(n,)``.
        clusters: The cluster of each row, int64 ``(n,)``.
        total: float32 ``(N, D)``.
        reader: The reader with the stage's tables.
        centres: float32 ``(C, T)``.
        axes: float32 ``(T, D)``.
        mean: float32 ``(D,)``.
    """
    group = reader.stream.block_rows
    if len(rows) == 1:
        coordinates = reader.alone.row(int(rows[0]), reader.stream)
        total[places[0]] += (coordinates + centres[clusters[0]]) @ axes + mean
        return
    numbers = rows // group
    first = np.ones(len(rows), bool)
    first[1:] = numbers[1:] != numbers[:-1]
    values = read(numbers[first], reader)
    coordinates = values[np.cumsum(first) - 1, rows % group]
    coordinates += centres[clusters]
    total[places] += coordinates @ axes + mean


def read(blocks: np.ndarray, reader: Reader) -> np.ndarray:
    """Returns the coordinates of blocks, float32 ``(n, G, T)``."""
    values = np.empty(shape_of(blocks, reader), np.float32)
    read_blocks(*bounds_of(blocks, reader), values, reader)
    return values


def shape_of(blocks: np.ndarray, reader: Reader) -> tuple[int, int, int]:
    """Returns the shape of the coordinates of blocks."""
    return len(blocks), reader.stream.block_rows, len(reader.compiled.axis_scales)


def bounds_of(blocks: np.ndarray, reader: Reader) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the starts and ends of blocks, and their numbers of rows."""
    stream = reader.stream
    rows = np.minimum(stream.block_rows, stream.num_rows - blocks * stream.block_rows)
    return *stream.places(blocks), rows


def _words(
    places: np.ndarray, ends: np.ndarray, data: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns the first states, all words, and the start and end of each block's words.

    A block's words end with a zero.
    """
    states = np.zeros(len(places), np.int64)
    for i in range(3):
        states |= data[places + i].astype(np.int64) << 8 * i
    lengths = ends - places
    top = np.flatnonzero(lengths % 2 == 0)
    states[top] |= data[ends[top] - 1].astype(np.int64) << 24
    counts = (lengths - 3) // 2 + 1
    last_words = np.cumsum(counts) - 1
    first_words = last_words - counts + 1
    number = np.arange(int(counts.sum())) - np.repeat(first_words, counts)
    low = np.minimum(np.repeat(places + 3, counts) + 2 * number, len(data) - 1)
    words = data[low].astype(np.int64)
    words |= data[np.minimum(low + 1, len(data) - 1)].astype(np.int64) << 8
    words[last_words] = 0
    return np.maximum(states, LOW), words, first_words, last_words


def starts_of(frequencies: np.ndarray) -> np.ndarray:
    """Returns the sum of frequencies before each symbol, uint16."""
    ends = np.cumsum(frequencies, axis=-1, dtype=np.int64)
    return (ends - frequencies).astype(np.uint16)


def slots_of(frequencies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the symbol of each of 4096 slots, and the sum of frequencies before each symbol.

    Args:
        frequencies: uint16 ``(..., A)`` that add up to 4096.

    Returns:
        uint8 ``(..., 4096)`` and uint16 ``(..., A)``.
    """
    flat = frequencies.reshape(-1, frequencies.shape[-1])
    symbols = np.arange(flat.shape[1], dtype=np.uint8)
    slots = np.stack([np.repeat(symbols, row) for row in flat])
    return slots.reshape(*frequencies.shape[:-1], 4096), starts_of(frequencies)
