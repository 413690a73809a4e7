"""Tables with a residual stage of any levels, made without fitting anything."""

from dataclasses import replace

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.quantized_matrix import QuantizedMatrix
from nncompress.embedding.residual_table import ResidualTable
from tests.trellis.making import random_levels, random_tables, residual_of


def random_residual(random, rows=70, axes=6, dim=9, block_rows=3, state_bits=4, bits=6):
    """Returns a residual stage of random levels, and the levels and row classes."""
    tables = random_tables(random, axes)
    points = tables.points.astype(np.float16).astype(np.float32)  # as files have them
    tables = replace(tables, points=points)
    levels = random_levels(random, rows, axes, largest=3_000)
    classes = random.integers(len(tables.class_steps), size=rows).astype(np.uint8)
    residual = residual_of(random, levels, classes, tables, state_bits, block_rows, dim)
    rotation = QuantizedMatrix.of(random.normal(size=(axes, dim)), bits)
    return replace(residual, rotation=rotation), levels, classes


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
