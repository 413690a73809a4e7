"""Tables cut into shards whose sizes do not suit anything."""

import itertools

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.residual_table import ResidualTable
from nncompress.trellis.rows import chosen_rows


def cut(table, *ends):
    """Returns tables of rows 0 ... ends[0]-1, ends[0] ... ends[1]-1 and so on, each by itself."""
    cuts = [0, *ends, table.num_rows]
    return [_rows(table, np.arange(a, b)) for a, b in itertools.pairwise(cuts)]


def _rows(table, rows):
    if isinstance(table, CodeTable):
        return CodeTable(table.packed[rows], table.stored_codebook, table.num_codebooks)
    additive = None if table.additive is None else _rows(table.additive, rows)
    return ResidualTable(chosen_rows(table.residual, rows), additive)
