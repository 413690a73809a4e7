"""Products with a matrix of sparse rows, and with its transpose.

Row i of the matrix has ``values[i, j]`` in column ``columns[i, j]``; all rows have as many values.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import JIT


@njit(**JIT)
def multiply(thread, threads, barrier, values, columns, table, out):
    """Computes the matrix times a table, each row by one thread.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        values: float32 or float64 ``(N, s)``.
        columns: int32 ``(N, s)``.
        table: ``(k, n)``.
        out: ``(N, n)``, overwritten.
    """
    num_rows, count = values.shape
    for i in range(thread * num_rows // threads, (thread + 1) * num_rows // threads):
        total = out[i]
        total[:] = 0
        for j in range(count):
            value, row = values[i, j], table[np.uint32(columns[i, j])]
            for c in range(total.size):
                total[c] += value * row[c]


@njit(**JIT)
def multiply_transpose(thread, threads, barrier, values, order, ends, rows, out):
    """Computes the transpose of the matrix times rows, each column of the matrix by one thread.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: columns do not depend on each other.
        values: float32 or float64 ``(N, s)``.
        order: The numbers ``i * s + j`` of values, sorted by their columns, int64 ``(N * s,)``.
        ends: How many of them belong to each column and those before it, int64 ``(k,)``.
        rows: ``(N, n)``.
        out: ``(k, n)``, overwritten.
    """
    num_columns, count = out.shape[0], values.shape[1]
    flat = values.reshape(-1)
    for k in range(thread * num_columns // threads, (thread + 1) * num_columns // threads):
        total = out[k]
        total[:] = 0
        for place in range(ends[k - 1] if k else 0, ends[k]):
            value, row = flat[order[place]], rows[np.uint64(order[place]) // np.uint64(count)]
            for c in range(total.size):
                total[c] += value * row[c]
