# ruff: noqa: D102  (`interface.py` documents the methods)
"""The residual stage's kernels on a GPU."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from nncompress.embedding.residual_kernels import Reading, starts_of
from nncompress.embedding.trellis_code import TrellisCode
from nncompress.gpu.runtime import Runtime
from nncompress.machine import usable_cores
from nncompress.trellis.engines.interface import Counted, Tables

_WARP, _THREADS = 32, 128
# Rows are sent a tile at a time; no result depends on its size.
_TILE_BYTES = 64 << 20
# A walk keeps the choices of a path's states in global memory: blocks for each multiprocessor, and
# bytes in all.
_WALK_BLOCKS, _CHOICE_BYTES = 16, 256 << 20
_BATCH_BYTES = 64  # of branch costs, as in `cuda/trellis.cuh`
_SUM_UNITS = 2.0**32  # as in `cuda/level_counts.cuh`

Array = Any  # NumPy's or CuPy's


class GpuEngine:
    """Computes with CUDA kernels; the methods are those of ``interface.Engine``.

    Args:
        runtime: The GPU.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.threads = usable_cores()
        self._xp = runtime.xp
        self._runtime = runtime
        self._levels = runtime.load("levels")
        self._walks = cache(lambda state_bits: runtime.load("trellis", STATE_BITS=state_bits))

    def choose_classes(
        self,
        rows: np.ndarray,
        axis_scales: np.ndarray,
        offsets: np.ndarray,
        fees: np.ndarray,
        look_up: np.ndarray,
    ) -> np.ndarray:
        chosen = np.zeros(len(rows), np.int64)
        shared = tuple(map(self._send, (axis_scales, offsets, fees, look_up)))
        sizes = len(offsets), *look_up.shape
        for tile in _tiles(*rows.shape):
            part = self._send(rows[tile])
            found = self._xp.zeros(len(part), np.int32)
            self._levels.launch(
                "choose_classes",
                -(-len(part) // (_THREADS // _WARP)),
                _THREADS,
                [part, found, *shared, *map(np.int32, (*part.shape, *sizes))],
            )
            chosen[tile] = self._fetch(found)
        return chosen

    def walk(
        self,
        rows: np.ndarray,
        offsets: np.ndarray,
        axis_scales: np.ndarray,
        tables: Tables,
        cost_of_a_bit: float,
        code: TrellisCode,
    ) -> np.ndarray:
        num_rows, num_axes = rows.shape
        levels = np.zeros(rows.shape, np.int16)
        shared = self._send(axis_scales), *self._tables(tables), self._send(code.labels)
        num_states, warps = len(code.labels), _THREADS // _WARP
        # A bit for each state and axis, in whole words and for whole warps of axes.
        choices = warps * max(8, num_states // 8) * -(-num_axes // _WARP) * _WARP
        blocks = min(
            -(-num_rows // warps),
            _WALK_BLOCKS * self._runtime.multiprocessors,
            max(1, _CHOICE_BYTES // choices),
        )
        scratch = self._xp.empty(blocks * choices // 4, np.uint32)
        for tile in _tiles(*rows.shape):
            part = self._send(rows[tile])
            found = self._xp.zeros(part.shape, np.int16)
            self._walks(code.state_bits).launch(
                "walk",
                blocks,
                _THREADS,
                [
                    *(part, found, self._send(offsets[tile]), *shared),
                    *(np.float32(cost_of_a_bit), scratch),
                    *map(np.int32, (*part.shape, len(tables[0]))),
                ],
                warps * (4 * num_states + _BATCH_BYTES),
            )
            levels[tile] = self._fetch(found)
        return levels

    def count(
        self,
        rows: np.ndarray,
        levels: np.ndarray,
        offsets: np.ndarray,
        axis_scales: np.ndarray,
        tables: Tables,
        code: TrellisCode,
    ) -> Counted:
        xp = self._xp
        points, bits, _ = tables
        counts = xp.zeros(bits.shape, np.int64)
        sums, numbers = (xp.zeros(points.shape, np.int64) for _ in range(2))
        errors, spent = np.zeros(len(rows)), np.zeros(len(rows))
        shared = self._send(axis_scales), *self._tables(tables), self._send(code.labels)
        for tile in _tiles(*rows.shape):
            part = self._send(rows[tile])
            by_row = self._send(levels[tile]), self._send(offsets[tile])
            found = xp.zeros(len(part)), xp.zeros(len(part))
            self._levels.launch(
                "count_levels",
                -(-len(part) // _THREADS),
                _THREADS,
                [
                    *(part, *by_row, *found, counts, sums, numbers, *shared),
                    *map(np.int32, (*part.shape, len(points), len(code.labels))),
                ],
                4 * bits.size + 12 * points.size,
            )
            errors[tile], spent[tile] = map(self._fetch, found)
        counts, sums, numbers = map(self._fetch, (counts, sums, numbers))
        return Counted(errors, spent, counts, sums / _SUM_UNITS, numbers)

    def write(
        self,
        levels: np.ndarray,
        classes: np.ndarray,
        block_rows: int,
        scales: Reading,
        code: TrellisCode,
        frequencies: np.ndarray,
        class_frequencies: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        xp = self._xp
        shared = [
            *(self._send(array.astype(np.int32)) for array in scales),
            self._send(code.labels),
            *(self._send(array) for array in (frequencies, starts_of(frequencies))),
            *(self._send(array) for array in (class_frequencies, starts_of(class_frequencies))),
        ]
        parts, all_lengths = [], []
        for tile in _tiles(*levels.shape, block_rows):
            part = self._send(levels[tile])
            lengths = xp.zeros(-(-len(part) // block_rows), np.int64)
            places = xp.zeros_like(lengths)
            sizes = *part.shape, len(frequencies), len(code.labels), block_rows
            by_row = part, self._send(classes[tile])
            arguments = [*by_row, *shared, *map(np.int32, sizes)]
            launch = "write_blocks", -(-len(lengths) // _THREADS), _THREADS
            self._levels.launch(*launch, [lengths, places, None, *arguments])
            ends = xp.cumsum(lengths)
            places[1:] = ends[:-1]
            data = xp.zeros(int(ends[-1]), np.uint8)
            self._levels.launch(*launch, [lengths, places, data, *arguments])
            parts.append(self._fetch(data))
            all_lengths.append(self._fetch(lengths))
        return np.concatenate(parts), np.concatenate(all_lengths)

    def _tables(self, tables: Tables) -> tuple[Array, Array, Array]:
        points, bits, shifts = tables
        return self._send(points), self._send(bits), self._send(shifts.astype(np.int32))

    def _send(self, array: np.ndarray) -> Array:
        return self._xp.ascontiguousarray(self._xp.asarray(array))

    def _fetch(self, array: Array) -> np.ndarray:
        return array if self._xp is np else self._xp.asnumpy(array)


def _tiles(num_rows: int, num_axes: int, block_rows: int = 1) -> Iterator[slice]:
    """Splits rows into tiles that consist of whole blocks of rows."""
    height = max(1, _TILE_BYTES // (4 * num_axes * block_rows)) * block_rows
    for first in range(0, num_rows, height):
        yield slice(first, min(first + height, num_rows))
