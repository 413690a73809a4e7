"""The residual stage of some of a table's rows, or of new ones, with the same axes and tables."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nncompress.embedding.residual import Residual, Stream
from nncompress.machine import Machine
from nncompress.trellis.engines import make_engine
from nncompress.trellis.quantizer import Coded, Quantizer
from nncompress.trellis.stage import Remainder, code_rows

_MOST_LEVEL = np.iinfo(np.int16).max
_TILE_ROWS = 4_096
_RECODED_ROWS = 65_536


def chosen_rows(residual: Residual, rows: np.ndarray) -> Residual:
    """Returns the stage of some rows, with their existing levels.

    Args:
        residual: The stage of all rows.
        rows: Row numbers, int64 ``(n,)``.
    """
    data, lengths = _written(residual, *levels_of(residual, rows))
    stream = Stream.of(data, lengths, residual.stream.block_rows, len(rows))
    centres = None if residual.centres is None else residual.centres.chosen(rows)
    return replace(residual, stream=stream, centres=centres)


def more_rows(residual: Residual, remainder: Remainder) -> Residual:
    """Returns the stage of new rows, coded in the same way as a table's rows.

    Args:
        residual: The stage of the table's rows.
        remainder: The new rows, ``(n, D)``.

    Raises:
        InputError: A row is too large to be coded with the table's steps.
    """
    new = code_rows(remainder, Quantizer.of_residual(residual), Machine())
    return residual.with_rows(new.stream, None if new.centres is None else new.centres.clusters)


def recoded(stages: Sequence[tuple[Residual, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Writes the rows of several stages again, one after the other, with their existing levels.

    Args:
        stages: Stages with the same axes and tables, and the first row to write of each.

    Returns:
        The bytes, and the length of each block, int64.
    """
    group = stages[0][0].stream.block_rows
    tile = _RECODED_ROWS // group * group
    levels: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    data, lengths, held = [], [], 0
    for number, (stage, begin) in enumerate(stages, 1):
        for first in range(begin, stage.num_rows, tile):
            rows = np.arange(first, min(first + tile, stage.num_rows))
            for parts, more in zip((levels, classes), levels_of(stage, rows), strict=True):
                parts.append(more)
            held += len(rows)
            is_last = number == len(stages) and first + tile >= stage.num_rows
            ready = held if is_last else held // group * group
            all_levels, all_classes = np.concatenate(levels), np.concatenate(classes)
            if ready:
                here = _written(stage, all_levels[:ready], all_classes[:ready])
                data.append(here[0])
                lengths.append(here[1])
            levels, classes = [all_levels[ready:]], [all_classes[ready:]]
            held -= ready
    return np.concatenate(data), np.concatenate(lengths)


def levels_of(residual: Residual, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the levels of rows, int16 ``(n, T)``, and their classes, uint8 ``(n,)``.

    Only a row of zeros looks the same in every class; it gets the class of the smallest scales.
    """
    tables = residual.tables
    # With these tables a level k is read as 2|k| - c, times the row's class counted from 1.
    magnitudes = np.arange(tables.points.shape[2])
    plain = np.stack([2 * magnitudes, np.maximum(2 * magnitudes - 1, 0)]).astype(np.float32)
    points = np.broadcast_to(plain, tables.points.shape)
    classes = np.arange(len(tables.class_steps))
    units, numbered = (
        replace(residual, tables=replace(tables, points=points, class_steps=steps))
        for steps in (np.ones(len(classes), np.float32), (classes + 1).astype(np.float32))
    )
    levels = np.zeros((len(rows), residual.num_axes), np.int16)
    chosen = np.zeros(len(rows), np.uint8)
    group = residual.stream.block_rows
    for first in range(0, len(rows), _TILE_ROWS):
        here = slice(first, first + _TILE_ROWS)
        blocks, which = np.unique(rows[here] // group, return_inverse=True)
        values, times = (
            stage.coordinates(blocks)[which, rows[here] % group] for stage in (units, numbered)
        )
        magnitude = np.ceil(np.abs(values) / 2).clip(0, _MOST_LEVEL)
        levels[here] = np.where(values < 0, -magnitude, magnitude)
        largest = np.abs(values).argmax(axis=1)[:, None]
        value, time = (np.take_along_axis(a, largest, axis=1)[:, 0] for a in (values, times))
        ratio = np.rint(time / np.where(value == 0, 1, value))
        chosen[here] = np.where(value == 0, tables.class_offsets.argmin(), ratio - 1)
    return levels, chosen


def _written(
    residual: Residual, levels: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    nothing = np.zeros(len(levels))
    coded = Coded(levels, classes, nothing, nothing, np.zeros(len(levels), np.int64))
    return Quantizer.of_residual(residual).write(coded, make_engine(Machine()))
