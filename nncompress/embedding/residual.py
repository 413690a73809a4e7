"""The residual stage of a compressed table, and decoding it.

A row's residual, coded after its additive codes if there are any, is a mean plus a sum of axes,
each times an integer-like value and the row's step: entropy-constrained trellis-coded quantization
(Fischer and Wang, IEEE Trans. Information Theory, 1992). Blocks of rows are byte strings of any
length (``residual_kernels``, ``cpu.rans``).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from nncompress.embedding.centres import Centres
from nncompress.embedding.engine import engine
from nncompress.embedding.packing import Packing
from nncompress.embedding.reflections import axes_of
from nncompress.embedding.residual_kernels import Reader, bounds_of, shape_of
from nncompress.embedding.rice import RiceRows
from nncompress.embedding.shared import shared_property
from nncompress.formats.parts import Parts

if TYPE_CHECKING:
    from nncompress.embedding.access import Access

LEFT_OUT = -(1 << 15)  # the scale of an axis that is not coded
CHUNK = 32  # blocks that share one start in the index
_PACKED_AT_ONCE = 1 << 15  # chunks


@dataclass(frozen=True)
class EntropyTables:
    """Probabilities and values of levels for each scale of an axis.

    Attributes:
        frequencies: Frequencies of the 16 symbols with either quantizer, in 4096ths, uint16
            ``(scales, 2, 16)``.
        points: The values of levels 0 to 3, in steps, float32 ``(scales, 2, 4)``.
        shifts: The number of low bits of a level outside its symbol, uint8 ``(scales,)``.
        class_frequencies: Frequencies of the row classes, in 4096ths, uint16 ``(R,)``.
        class_offsets: The offset that each class adds to the scales of the axes, int16 ``(R,)``.
        class_steps: The step of each class, float32 ``(R,)``.
        axis_scales: The scale of each axis, an index into the tables, int16 ``(D,)``;
            ``LEFT_OUT`` for an axis that is not coded.
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
    """Blocks of rows as bytes.

    Attributes:
        data: The blocks, one after the other, uint8; ``Parts`` if they are only to be written.
        starts: The start of every 32nd block, uint32 or uint64.
        lengths: The bytes of each block beyond ``least_length``, packed by 32, uint8
            ``(chunks, bytes)``.
        length_bits: Bits per length.
        least_length: The bytes of the shortest block.
        block_rows: Rows per block, G; the last block may have fewer.
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
    def of(
        cls, data: np.ndarray | Parts, lengths: np.ndarray, block_rows: int, num_rows: int
    ) -> "Stream":
        """Makes a stream.

        Args:
            data: The blocks' bytes.
            lengths: The bytes of each block, integers.
            block_rows: Rows per block.
            num_rows: N.
        """
        least = int(lengths.min())
        bits = max(1, (int(lengths.max()) - least).bit_length())
        chunks = -(-len(lengths) // CHUNK)
        packing = Packing(CHUNK, bits)
        packed = np.zeros((chunks, packing.row_bytes), np.uint8)
        sizes = np.empty(chunks, np.int64)
        for first in range(0, chunks, _PACKED_AT_ONCE):
            own = lengths[first * CHUNK : (first + _PACKED_AT_ONCE) * CHUNK].astype(np.int64)
            padded = np.zeros(-(-len(own) // CHUNK) * CHUNK, np.int64)
            padded[: len(own)] = own
            sizes[first : first + _PACKED_AT_ONCE] = padded.reshape(-1, CHUNK).sum(axis=1)
            padded[: len(own)] -= least
            packed[first : first + _PACKED_AT_ONCE] = packing.pack(padded.reshape(-1, CHUNK))
        kind = np.uint32 if data.nbytes < 1 << 32 else np.uint64
        starts = (np.cumsum(sizes) - sizes).astype(kind)
        return cls(cast(np.ndarray, data), starts, packed, bits, least, block_rows, num_rows)

    @classmethod
    def empty(cls, block_rows: int) -> "Stream":
        """Returns a stream without rows, for blocks of ``block_rows`` rows."""
        nothing = np.empty(0, np.uint8)
        lengths = np.empty((0, Packing(CHUNK, 1).row_bytes), np.uint8)
        return cls(nothing, np.empty(0, np.uint32), lengths, 1, 0, block_rows, 0)

    @property
    def num_blocks(self) -> int:
        """The number of blocks."""
        return -(-self.num_rows // self.block_rows)

    def places(self, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the starts and ends of blocks in ``data``, int64; always within it.

        Args:
            blocks: Block numbers, int64 ``(n,)``.
        """
        chunks, inside = np.divmod(blocks, CHUNK)
        lengths = Packing(CHUNK, self.length_bits).unpack(self.lengths[chunks]).astype(np.int64)
        lengths += self.least_length
        before = np.where(np.arange(CHUNK) < inside[:, None], lengths, 0).sum(axis=1)
        # Clipped before they are added: in a damaged file either could be anything.
        starts = np.minimum(self.starts[chunks].astype(np.uint64), np.uint64(len(self.data)))
        places = np.minimum(starts.astype(np.int64) + before, len(self.data) - 3)
        ends = places + lengths[np.arange(len(blocks)), inside]
        return places, np.clip(ends, places + 3, len(self.data))

    def lengths_of(self, first: int, last: int) -> np.ndarray:
        """Returns the bytes of blocks ``first ... last-1``, int64."""
        chunks = slice(first // CHUNK, -(-last // CHUNK))
        lengths = Packing(CHUNK, self.length_bits).unpack(self.lengths[chunks]).reshape(-1)
        skipped = first % CHUNK
        return lengths[skipped : skipped + last - first].astype(np.int64) + self.least_length

    def part(self, first: int, last: int) -> "Stream":
        """Returns blocks ``first ... last-1`` only, sharing their bytes.

        Args:
            first: The first block.
            last: A later block, or the number of blocks.
        """
        lengths = self.lengths_of(first, last)
        begin = int(self.places(np.array([first]))[0][0])
        num_rows = min(last * self.block_rows, self.num_rows) - first * self.block_rows
        data = self.data[begin : begin + int(lengths.sum())]
        return Stream.of(data, lengths, self.block_rows, num_rows)

    def bounds(self, block: int) -> tuple[int, int]:
        """Returns the start and end of one block, as ``places`` does for many."""
        chunk, inside = divmod(block, CHUNK)
        lengths = int.from_bytes(self.lengths[chunk].tobytes(), "little")
        mask, bits = (1 << self.length_bits) - 1, self.length_bits
        before = sum(lengths >> bits * i & mask for i in range(inside))
        length = (lengths >> bits * inside & mask) + self.least_length
        place = int(self.starts[chunk]) + before + self.least_length * inside
        place = min(place, len(self.data) - 3)
        return place, min(max(place + length, place + 3), len(self.data))


@dataclass(frozen=True)
class Residual:
    """The residual stage: rows coded after their additive codes, or on their own.

    Attributes:
        mean: Added to every row, float32 ``(D,)``.
        reflections: The axes; T of the D axes are coded.
        tables: Probabilities and values of levels.
        state_bits: Bits of the trellis's state.
        stream: The rows.
        centres: The centres that residuals are added to; None if that is the mean alone.
        access: The access to rows in a file on a device; None if they are in memory.
    """

    mean: np.ndarray
    reflections: RiceRows
    tables: EntropyTables
    state_bits: int
    stream: Stream
    centres: Centres | None = None
    access: "Access | None" = None
    _made: dict[str, np.ndarray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_made", {})

    def with_rows(self, stream: Stream, clusters: np.ndarray | None) -> "Residual":
        """Returns the stage of other rows, sharing everything computed on first use.

        Args:
            stream: The rows.
            clusters: Their clusters, packed as in ``Centres``; None for no clusters.
        """
        centres = self.centres
        if centres is not None and clusters is not None:
            centres = replace(centres, clusters=clusters)
        other = replace(self, stream=stream, centres=centres, access=None)
        object.__setattr__(other, "_made", self._made)
        return other

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
        """Bytes per row, on average, with its share of the index of blocks."""
        stream = self.stream
        total = stream.data.nbytes + stream.starts.nbytes + stream.lengths.nbytes
        total += 0 if self.centres is None else self.centres.clusters.nbytes
        return total / stream.num_rows

    @property
    def shared_bytes(self) -> int:
        """Bytes of the mean, axes, tables and centres, with points in half precision."""
        tables = self.tables
        arrays = (
            tables.frequencies, tables.shifts, tables.class_frequencies, tables.class_offsets,
            tables.class_steps, tables.axis_scales,
        )  # fmt: skip
        total = self.mean.nbytes + self.reflections.nbytes + tables.points.nbytes // 2
        if self.centres is not None:
            total += self.centres.integers.nbytes + self.centres.steps.nbytes
        return total + sum(array.nbytes for array in arrays)

    @shared_property
    def axes(self) -> np.ndarray:
        """The coded axes, float32 ``(T, D)``, computed on first use."""
        axes = axes_of(self.reflections, len(self.mean))
        return np.ascontiguousarray(axes[self.tables.axis_scales != LEFT_OUT])

    @shared_property
    def centre_coordinates(self) -> np.ndarray:
        """The centres along those axes, float32 ``(C, T)``, computed on first use.

        Without centres it is a single row of zeros.
        """
        if self.centres is None:
            return np.zeros((1, len(self.coded_scales)), np.float32)
        return self.centres.coordinates()

    @property
    def coded_scales(self) -> np.ndarray:
        """The scales of the coded axes, int32 ``(T,)``."""
        scales = self.tables.axis_scales
        return scales[scales != LEFT_OUT].astype(np.int32)

    @cached_property
    def reader(self) -> Reader:
        """The reader of blocks, made on first use."""
        return Reader(self)

    def coordinates(self, blocks: np.ndarray) -> np.ndarray:
        """Returns the coordinates of blocks along the axes, float32 ``(n, G, T)``.

        Entries past a block's last row are 0.

        Args:
            blocks: Block numbers, int64 ``(n,)``.
        """
        values = np.empty(shape_of(blocks, self.reader), np.float32)
        engine.call("read_blocks", (*bounds_of(blocks, self.reader), values), self.reader)
        return values

    def coordinates_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the coordinates of rows along the axes, float32 ``(n, T)``.

        Args:
            rows: Row numbers, int64 ``(n,)``.
        """
        blocks, places = np.unique(rows // self.stream.block_rows, return_inverse=True)
        found = self.coordinates(blocks)[places, rows % self.stream.block_rows]
        if self.centres is not None:
            found += self.centre_coordinates[self.centres.of_rows(rows)]
        return found

    def add_to(self, rows: np.ndarray, total: np.ndarray) -> None:
        """Adds the residuals of rows.

        Args:
            rows: Row numbers, int64 ``(n,)``.
            total: The array that they are added to, float32 ``(n, D)``.
        """
        if self.access is not None and len(rows):
            few, rows = self.access.stage(self, rows)
            if few is not self:
                few.add_to(rows, total)
                return
        places = np.arange(len(rows))
        if self.stream.block_rows > 1 and len(rows) > 1:  # each block is read once
            places = np.argsort(rows, kind="stable")
            rows = rows[places]
        clusters = np.zeros(len(rows), np.int64)
        if self.centres is not None:
            clusters = self.centres.of_rows(rows)
        shared = total, self.reader, self.centre_coordinates, self.axes, self.mean
        engine.call("add_residuals", (rows, places, clusters), *shared)
