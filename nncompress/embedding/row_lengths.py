"""The lengths of a table's rows, and rows of unit length."""

from typing import Protocol

import numpy as np

from nncompress.embedding.keyed_rows import units
from nncompress.embedding.sharded_table import Table


class HasTable(Protocol):
    """The parts of a compressed embedding needed to go through its rows."""

    table: Table


def lengths_of(table: Table) -> np.ndarray:
    """Returns the length of each row, float32 ``(N,)``, read-only."""
    lengths = np.empty(table.num_rows, np.float32)
    for first, rows in table.blocks():
        squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
        lengths[first : first + len(rows)] = np.sqrt(squares)
    lengths.setflags(write=False)
    return lengths


def get_normed_vectors(embedding: HasTable) -> np.ndarray:
    """Returns all rows, decoded and divided by their lengths: float32 ``(N, D)``, a new array.

    Rows of zeros stay zeros.
    """
    table = embedding.table
    normed = np.empty((table.num_rows, table.dim), np.float32)
    for first, rows in table.blocks():
        normed[first : first + len(rows)] = units(rows)
    return normed
