"""Streams of any levels, made without fitting anything."""

from dataclasses import replace

import numpy as np

from nncompress.cpu import rans
from nncompress.embedding.centres import Centres
from nncompress.embedding.residual import LEFT_OUT, EntropyTables, Residual, Stream
from nncompress.embedding.residual_kernels import Reading, slots_of
from nncompress.embedding.rice import RiceRows
from nncompress.embedding.trellis_code import trellis_code
from nncompress.machine import Team
from nncompress.trellis.scales import in_slots


def random_tables(random, num_axes, num_scales=5, num_classes=3):
    """Tables of any probabilities; half of the scales have low bits beside the symbols."""
    weights = random.random((num_scales * 2, 16)) ** 4 + 1e-9
    points = random.random((num_scales, 2, 4)).astype(np.float16).astype(np.float32)
    points += 2 * np.arange(4, dtype=np.float32)
    points[:, :, 0] = 0
    return EntropyTables(
        np.stack([in_slots(row) for row in weights]).reshape(num_scales, 2, 16),
        points,
        np.maximum(0, random.integers(-4, 4, num_scales)).astype(np.uint8),
        in_slots(random.random(num_classes)),
        random.integers(-2, 3, num_classes).astype(np.int16),
        (random.random(num_classes) + 0.5).astype(np.float32),
        random.integers(-3, num_scales + 3, num_axes).astype(np.int16),
    )


def random_levels(random, num_rows, num_axes, largest=20):
    """Levels with rows of zeros alone and with few that are not, and some that are large."""
    levels = random.geometric(0.3, (num_rows, num_axes)) - 1
    large = random.random(levels.shape) < 0.03
    levels[large] = random.integers(largest + 1, size=large.sum())
    levels *= random.integers(2, size=levels.shape) * 2 - 1
    keep = random.choice([0, 0.05, 0.5, 1], size=(num_rows, 1))
    levels[random.random(levels.shape) >= keep] = 0
    return levels.astype(np.int16)


def written(levels, classes, tables, state_bits, block_rows, threads=1):
    """Returns the bytes of levels, and the length of each block."""
    code = trellis_code(state_bits)
    _, starts = slots_of(tables.frequencies)
    _, class_starts = slots_of(tables.class_frequencies)
    scales = Reading(
        tables.axis_scales.astype(np.int32),
        tables.class_offsets.astype(np.int32),
        tables.shifts.astype(np.int64),
    )
    return rans.write(
        levels, classes, block_rows, scales, (code.next_states, code.quantizers),
        tables.frequencies, starts, (tables.class_frequencies, class_starts), Team(threads),
    )  # fmt: skip


def residual_of(random, levels, classes, tables, state_bits=4, block_rows=1, cluster_bits=0):
    """Returns a stage that holds levels; its axes and centres are random, two are left out."""
    num_rows, num_axes = levels.shape
    data, lengths = written(levels, classes, tables, state_bits, block_rows)
    dim = num_axes + 2
    reflections = RiceRows.of([random.integers(-9, 10, dim - s) for s in range(dim - 1)])
    mean = random.normal(size=dim).astype(np.float32)
    stream = Stream.of(data, lengths, block_rows, num_rows)
    scales = np.full(dim, LEFT_OUT, np.int16)
    scales[np.sort(random.permutation(dim)[:num_axes])] = tables.axis_scales
    centres = None
    if cluster_bits:
        integers = RiceRows.of(list(random.integers(-5, 6, (num_axes, 1 << cluster_bits))))
        clusters = random.integers(0, 1 << cluster_bits, num_rows)
        steps = random.random(num_axes).astype(np.float32)
        packed = Centres.pack(clusters, cluster_bits)
        centres = Centres(steps, integers, cluster_bits, packed)
    tables = replace(tables, axis_scales=scales)
    return Residual(mean, reflections, tables, state_bits, stream, centres)


def values_of(levels, classes, tables, state_bits):
    """Returns the coordinates of levels by the definition, float32 ``(n, T)``."""
    code = trellis_code(state_bits)
    values = np.zeros(levels.shape, np.float32)
    for n, row in enumerate(levels):
        state = 0
        for t, level in enumerate(row):
            c, k = int(code.quantizers[state]), abs(int(level))
            m = int(tables.axis_scales[t]) + int(tables.class_offsets[classes[n]])
            m = min(max(m, 0), len(tables.shifts) - 1)
            size = tables.points[m, c, k] if k < 4 else np.float32(2 * k - c)
            values[n, t] = np.float32(np.sign(level)) * size * tables.class_steps[classes[n]]
            state = int(code.next_states[state, k % 2])
    return values
