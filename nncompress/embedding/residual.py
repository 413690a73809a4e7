"""The residual stage of a compressed table: what is coded after the additive codes, decoded.

A row's residual is a mean and a sum of axes, each times an integer-like value and the row's step:
entropy-constrained trellis-coded quantization (Fischer and Wang, IEEE Trans. Information Theory,
1992). Blocks of rows are strings of bytes of any length (``residual_kernels``, ``cpu.rans``).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nncompress.embedding.centres import Centres
from nncompress.embedding.engine import engine
from nncompress.embedding.packing import Packing
from nncompress.embedding.reflections import axes_of
from nncompress.embedding.residual_kernels import Reading
from nncompress.embedding.rice import RiceRows
from nncompress.embedding.trellis_code import trellis_code

LEFT_OUT = -(1 << 15)  # the scale of an axis along which nothing is coded
CHUNK = 32  # blocks whose places are told by one number and their lengths
_TILE_BYTES = 4 << 20


@dataclass(frozen=True)
class EntropyTables:
    """Probabilities and values of levels, by the scale of an axis.

    Attributes:
        frequencies: Of the 16 symbols with either quantizer, in 4096ths, uint16
            ``(scales, 2, 16)``.
        points: The values of levels 0 to 3, in steps, float32 ``(scales, 2, 4)``.
        shifts: Low bits of levels that are not part of symbols, uint8 ``(scales,)``.
        class_frequencies: Of the row classes, in 4096ths, uint16 ``(R,)``.
        class_offsets: What each class adds to the scales of the axes, int16 ``(R,)``.
        class_steps: The step of each class, float32 ``(R,)``.
        axis_scales: The scale of each axis, a row of the tables, int16 ``(D,)``; ``LEFT_OUT`` for
            one along which nothing is coded.
    """

    frequencies: np.ndarray
    points: np.ndarray
    shifts: np.ndarray
    class_frequencies: np.ndarray
    class_offsets: np.ndarray
    class_steps: np.ndarray
    axis_scales: np.ndarray


@dataclass(frozen=True)
class Stream:
    """Blocks of rows, as bytes.

    Attributes:
        data: uint8, the blocks one after the other.
        starts: Where every 32nd block begins, uint32 or uint64.
        lengths: The bytes of each block beyond ``least_length``, packed by 32, uint8
            ``(chunks, bytes)``.
        length_bits: Bits of a length.
        least_length: The bytes of the shortest block.
        block_rows: Rows in a block, G; the last one may have fewer.
        num_rows: N.
    """

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    length_bits: int
    least_length: int
    block_rows: int
    num_rows: int

    @classmethod
    def of(cls, data: np.ndarray, lengths: np.ndarray, block_rows: int, num_rows: int) -> "Stream":
        """Makes a stream of bytes and the lengths of its blocks, int64."""
        least = int(lengths.min())
        bits = max(1, int(lengths.max() - least).bit_length())
        places = np.concatenate([[0], np.cumsum(lengths)])[:-1:CHUNK]
        padded = np.zeros(-(-len(lengths) // CHUNK) * CHUNK, np.int64)
        padded[: len(lengths)] = lengths - least
        packed = Packing(CHUNK, bits).pack(padded.reshape(-1, CHUNK))
        kind = np.uint32 if len(data) < 1 << 32 else np.uint64
        return cls(data, places.astype(kind), packed, bits, least, block_rows, num_rows)

    @property
    def num_blocks(self) -> int:
        """The number of blocks."""
        return -(-self.num_rows // self.block_rows)

    def places(self, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns where blocks begin and end in ``data``, int64; a damaged file's are kept in it.

        Args:
            blocks: Block numbers, int64 ``(n,)``.
        """
        chunks, inside = np.divmod(blocks, CHUNK)
        lengths = Packing(CHUNK, self.length_bits).unpack(self.lengths[chunks]).astype(np.int64)
        lengths += self.least_length
        before = np.where(np.arange(CHUNK) < inside[:, None], lengths, 0).sum(axis=1)
        # Kept in the data before they are added to: either could be anything in a damaged file.
        starts = np.minimum(self.starts[chunks].astype(np.uint64), np.uint64(len(self.data)))
        places = np.minimum(starts.astype(np.int64) + before, len(self.data) - 3)
        ends = places + lengths[np.arange(len(blocks)), inside]
        return places, np.clip(ends, places + 3, len(self.data))


@dataclass(frozen=True)
class Residual:
    """What is coded after the additive codes.

    Attributes:
        mean: What is added to every row, float32 ``(D,)``.
        reflections: The axes; T of the D are coded along.
        tables: Probabilities and values.
        state_bits: Bits of the trellis's state.
        stream: The rows.
        centres: What levels are added to; None where that is the mean alone.
    """

    mean: np.ndarray
    reflections: RiceRows
    tables: EntropyTables
    state_bits: int
    stream: Stream
    centres: Centres | None = None

    @property
    def num_rows(self) -> int:
        """N."""
        return self.stream.num_rows

    @property
    def num_axes(self) -> int:
        """T."""
        return int((self.tables.axis_scales != LEFT_OUT).sum())

    @property
    def row_bytes(self) -> float:
        """Mean bytes of a row, with its share of where blocks begin."""
        stream = self.stream
        total = stream.data.nbytes + stream.starts.nbytes + stream.lengths.nbytes
        total += 0 if self.centres is None else self.centres.clusters.nbytes
        return total / stream.num_rows

    @property
    def shared_bytes(self) -> int:
        """Bytes of mean, axes, tables and centres, points in half precision."""
        tables = self.tables
        arrays = (
            tables.frequencies, tables.shifts, tables.class_frequencies, tables.class_offsets,
            tables.class_steps, tables.axis_scales,
        )  # fmt: skip
        total = self.mean.nbytes + self.reflections.nbytes + tables.points.nbytes // 2
        if self.centres is not None:
            total += self.centres.integers.nbytes + self.centres.steps.nbytes
        return total + sum(array.nbytes for array in arrays)

    @cached_property
    def axes(self) -> np.ndarray:
        """The axes that are coded along, float32 ``(T, D)``, made when they are first needed."""
        axes = axes_of(self.reflections, len(self.mean))
        return axes[self.tables.axis_scales != LEFT_OUT]

    @cached_property
    def centre_coordinates(self) -> np.ndarray | None:
        """The centres along those axes, float32 ``(C, T)``, made when they are first needed."""
        return None if self.centres is None else self.centres.coordinates()

    @cached_property
    def reading(self) -> tuple:
        """What kernels read blocks by, made when it is first needed."""
        tables = self.tables
        symbols, starts = slots_of(tables.frequencies)
        class_symbols, class_starts = slots_of(tables.class_frequencies)
        code = trellis_code(self.state_bits)
        scales = Reading(
            tables.axis_scales[tables.axis_scales != LEFT_OUT].astype(np.int32),
            tables.class_offsets.astype(np.int32),
            tables.shifts.astype(np.int64),
        )
        return (
            self.stream.data, scales, tables.class_steps.astype(np.float32),
            (code.next_states, code.quantizers), symbols, tables.frequencies, starts,
            class_symbols, (tables.class_frequencies, class_starts),
            tables.points.astype(np.float32),
        )  # fmt: skip

    def coordinates(self, blocks: np.ndarray) -> np.ndarray:
        """Reads blocks: float32 ``(n, G, T)``, coordinates along the axes.

        Args:
            blocks: Block numbers, int64 ``(n,)``.
        """
        places, ends = self.stream.places(blocks)
        group = self.stream.block_rows
        rows = np.minimum(group, self.num_rows - blocks * group)
        values = np.zeros((len(blocks), group, len(self.reading[1].axis_scales)), np.float32)
        engine.call("read_blocks", (places, ends, rows, values), *self.reading)
        return values

    def add_to(self, rows: np.ndarray, total: np.ndarray) -> None:
        """Adds the residuals of rows.

        Args:
            rows: Row numbers, int64 ``(n,)``.
            total: float32 ``(n, D)``, to which they are added.
        """
        group = self.stream.block_rows
        step = max(1, _TILE_BYTES // (4 * group * max(1, len(self.axes))))
        blocks, which = np.unique(rows // group, return_inverse=True)
        for first in range(0, len(blocks), step):
            here = np.flatnonzero((which >= first) & (which < first + step))
            values = self.coordinates(blocks[first : first + step])
            chosen = values[which[here] - first, rows[here] % group]
            centres = self.centre_coordinates
            if self.centres is not None and centres is not None:
                chosen += centres[self.centres.of_rows(rows[here])]
            total[here] += chosen @ self.axes + self.mean


def slots_of(frequencies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the symbol of each of 4096 slots, and the sums of frequencies before each symbol.

    Args:
        frequencies: uint16 ``(..., A)`` that add up to 4096.

    Returns:
        uint8 ``(..., 4096)`` and uint16 ``(..., A)``.
    """
    ends = np.cumsum(frequencies, axis=-1, dtype=np.int64)
    flat = ends.reshape(-1, ends.shape[-1])
    slots = np.arange(4096)
    symbols = np.array([np.searchsorted(row, slots, side="right") for row in flat], np.uint8)
    symbols = symbols.reshape(*frequencies.shape[:-1], 4096)
    return symbols, (ends - frequencies).astype(np.uint16)
