"""Reading one block of a residual stage with Python's integers.

That takes a hundredth of the time that arrays of one number would take. All slots of a symbol
share a tuple with everything the symbol means, so a level costs two look-ups and an unpacking.
"""

from itertools import chain, repeat
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nncompress.embedding.residual import Stream
    from nncompress.embedding.residual_kernels import Reader

POINTS = 4  # levels whose values are looked up
SYMBOLS = 16  # the last one announces larger levels
FREE_SIGNS = 16  # held in a block's first state
LOW = 1 << 16  # states are at least this large
_MORE = 3  # instead of a parity: the symbol is not the whole level


class AloneReader:
    """Reads blocks one at a time.

    Args:
        reader: The reader with the stage's tables.
    """

    def __init__(self, reader: "Reader") -> None:
        compiled = reader.compiled
        self._data, self._axis_scales = compiled.data, compiled.axis_scales
        self._classes = compiled.classes.tobytes()
        self._class_frequencies = (compiled.class_pieces & 0xFFFF).tolist()
        self._class_starts = (compiled.class_pieces >> 16).tolist()
        self._class_offsets, self._class_steps = compiled.class_offsets, compiled.class_steps
        self._shifts = compiled.shifts.tolist()
        self._pieces, self._sizes = reader.pieces, reader.sizes
        pairs = compiled.ways[:, 0] >> 8
        # For each state, the next one if the level is 0, odd, or even but not 0.
        self._next_states = [(a >> 1, b >> 1, a >> 1) for a, b in pairs.tolist()]
        self._quantizers = [0] * len(pairs)  # state 0 always uses quantizer 0
        for way in pairs.ravel().tolist():
            self._quantizers[way >> 1] = way & 1
        self._floats = Struct(
            f"{len(self._axis_scales)}f"
        )  # far faster than NumPy for lists of floats
        self._by_scale: dict[int, list] = {}
        self._by_class: dict[int, list] = {}

    def read(self, place: int, end: int, rows: int, values: np.ndarray) -> None:
        """Reads a block.

        Args:
            place: Its start in the stream's bytes.
            end: Its end, at least 3 bytes later.
            rows: The number of its rows.
            values: The output, coordinates of the first rows, float32 ``(n, T)``; 0 past the rows.
        """
        block = self._data[place:end].tobytes()
        x = int.from_bytes(block[:3], "little")
        if len(block) % 2 == 0:
            x |= block[-1] << 24
        x = max(x, LOW)
        words = np.frombuffer(block, "<u2", (len(block) - 3) // 2, 3).tolist()
        word = chain(words, repeat(0)).__next__
        values[rows:] = 0
        for row in range(min(rows, len(values))):
            slot = x & 4095
            which = self._classes[slot]
            x = self._class_frequencies[which] * (x >> 12) + slot - self._class_starts[which]
            if x < LOW:
                x = x << 16 | word()
            sizes: list[float] = []
            free = FREE_SIGNS if row == rows - 1 else 0
            x, waiting = self._levels(x, self._axes_of(which), sizes, word, free)
            for i, t in enumerate(waiting):
                if x >> i & 1:
                    sizes[t] = -sizes[t]
            in_steps = np.frombuffer(self._floats.pack(*sizes), np.float32)
            np.multiply(in_steps, self._class_steps[which], out=values[row])

    def row(self, row: int, stream: "Stream") -> np.ndarray:
        """Returns a row's coordinates, float32 ``(T,)``."""
        block, inside = divmod(row, stream.block_rows)
        rows = min(stream.block_rows, stream.num_rows - block * stream.block_rows)
        values = np.empty((inside + 1, len(self._axis_scales)), np.float32)
        self.read(*stream.bounds(block), rows, values)
        return values[inside]

    def _levels(self, x, axes, sizes, word, free):  # type: ignore[no-untyped-def]
        """Reads a row's levels; returns the state, and the places of levels without a sign."""
        next_states = self._next_states
        waiting: list[int] = []
        add = sizes.append
        state = 0
        rest = iter(axes)
        if free:
            for by_state in rest:
                slot = x & 4095
                frequency, start, parity, size = by_state[state][slot]
                x = frequency * (x >> 12) + (slot - start)
                if x < 65536:
                    x = x << 16 | word()
                if parity:
                    if parity == 3:
                        x, parity, size = self._more(x, size, word)
                    if parity:
                        waiting.append(len(sizes))
                state = next_states[state][parity]
                add(size)
                if len(waiting) == free:
                    break
        for by_state in rest:
            slot = x & 4095
            frequency, start, parity, size = by_state[state][slot]
            x = frequency * (x >> 12) + (slot - start)
            if x < 65536:
                x = x << 16 | word()
            if parity:
                if parity == 3:
                    x, parity, size = self._more(x, size, word)
                if parity:
                    if x & 1:
                        size = -size
                    x >>= 1
                    if x < 65536:
                        x = x << 16 | word()
            state = next_states[state][parity]
            add(size)
        return x, waiting

    def _more(self, x, entry, word):  # type: ignore[no-untyped-def]
        """Reads the rest of a level after its symbol; returns the state, parity and size."""
        m, c, k = entry
        if k == SYMBOLS - 1:
            length = x & 15
            x >>= 4
            if x < LOW:
                x = x << 16 | word()
            k += (1 << length) - 1 + (x & ((1 << length) - 1))
            x >>= length
            if x < LOW:
                x = x << 16 | word()
        shift = self._shifts[m]
        if shift:
            k = k << shift | x & ((1 << shift) - 1)
            x >>= shift
            if x < LOW:
                x = x << 16 | word()
        size = float(self._sizes[m, c, k]) if k < POINTS else float(2 * k - c)
        return x, (2 - k % 2 if k else 0), size

    def _axes_of(self, which: int) -> list:
        """Returns the tables of a row class for each axis, indexed by state and slot."""
        if which not in self._by_class:
            scales = self._axis_scales.astype(np.int64) + self._class_offsets[which]
            scales = np.clip(scales, 0, len(self._shifts) - 1)
            self._by_class[which] = [self._tables_of(m) for m in scales.tolist()]
        return self._by_class[which]

    def _tables_of(self, m: int) -> list:
        if m not in self._by_scale:
            slots: tuple[list, list] = ([], [])
            for c in range(2):
                pieces = self._pieces[m, c].tolist()
                sizes = self._sizes[m, c].tolist()
                for k, (piece, size) in enumerate(zip(pieces, sizes, strict=True)):
                    frequency, start = piece & 0xFFFF, piece >> 16 & 0xFFF
                    entry: tuple = (frequency, start, 2 - k % 2 if k else 0, size)
                    if piece < 0:
                        entry = (frequency, start, _MORE, (m, c, k))
                    slots[c].extend([entry] * frequency)
            self._by_scale[m] = [slots[c] for c in self._quantizers]
        return self._by_scale[m]
