"""Tables with a residual stage of any levels, made without fitting anything."""

from dataclasses import replace

import numpy as np

from nncompress.embedding.centres import Centres
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.quantized_matrix import QuantizedMatrix
from nncompress.embedding.residual import LEFT_OUT, Residual, Stream
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.rice import RiceRows
from tests.trellis.making import random_levels, random_tables, written


def random_residual(
    random, rows=70, axes=6, dim=9, block_rows=3, state_bits=4, reflections=3, cluster_bits=2
):
    """Returns a residual stage of random levels, and the levels and row classes."""
    tables = random_tables(random, axes)
    points = tables.points.astype(np.float16).astype(np.float32)  # as files have them
    tables = replace(tables, points=points)
    levels = random_levels(random, rows, axes, largest=3_000)
    classes = random.integers(len(tables.class_steps), size=rows).astype(np.uint8)
    data, lengths = written(levels, classes, tables, state_bits, block_rows)
    stream = Stream.of(data, lengths, block_rows, rows)
    axis_scales = np.full(dim, LEFT_OUT, np.int16)
    axis_scales[np.sort(random.choice(dim, axes, replace=False))] = tables.axis_scales
    integers = [random.integers(-40, 41, size=dim - s) for s in range(min(reflections, dim - 1))]
    if integers:
        integers[0][:] = 0  # reflects nothing
    centres = None
    if cluster_bits:
        coordinates = random.integers(-9, 10, size=(axes, 1 << cluster_bits))
        clusters = random.integers(1 << cluster_bits, size=rows)
        steps = random.random(axes).astype(np.float32)
        packed = Centres.pack(clusters, cluster_bits)
        centres = Centres(steps, RiceRows.of(list(coordinates)), cluster_bits, packed)
    residual = Residual(
        random.normal(size=dim).astype(np.float32), RiceRows.of(integers),
        replace(tables, axis_scales=axis_scales), state_bits, stream, centres,
    )  # fmt: skip
    return residual, levels, classes


def random_table(random, additive=True, codebook_bits=0, **sizes):
    """Returns a table of random levels, with additive codes or without."""
    residual, _, _ = random_residual(random, **sizes)
    if not additive:
        return ResidualTable(residual)
    codes = random.integers(11, size=(residual.num_rows, 3))
    table = CodeTable.of_codes(codes, random.normal(size=(33, len(residual.mean))))
    if codebook_bits:
        codebook = QuantizedMatrix.of(table.codebook, codebook_bits)
        table = CodeTable(table.packed, codebook, 3)
    return ResidualTable(residual, table)
