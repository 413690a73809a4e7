"""Rows of matrices that are products with matrices of small blocks."""

from numba import njit

from nncompress.cpu.elementary import JIT


@njit(**JIT)
def weighted_rows(weights, table, ids, rows):
    """Writes rows of the product of blocks of weights, on a diagonal, and a table.

    Args:
        weights: float32 or float64 ``(a, b)``; they are those of each b rows of the table.
        table: Of the same type, ``(k*b, n)``.
        ids: Numbers of rows, int64, from 0 to ``k*a - 1``.
        rows: Of the same type, ``(len(ids), n)``, overwritten.
    """
    size, inner = weights.shape
    for place in range(ids.size):
        row, first = rows[place], ids[place] // size * inner
        given = weights[ids[place] % size]
        for i in range(row.size):
            row[i] = given[0] * table[first, i]
        for j in range(1, inner):
            weight, other = given[j], table[first + j]
            for i in range(row.size):
                row[i] += weight * other[i]


@njit(**JIT)
def mixed_rows(blocks, mixer, ids, rows):
    """Writes rows of a matrix of mixed blocks: interleaved entries of blocks, times their shares.

    Args:
        blocks: float32 or float64 ``(a, k, b)``.
        mixer: Of the same type, ``(k, k)``.
        ids: Numbers of rows, int64, from 0 to ``k*a - 1``.
        rows: Of the same type, ``(len(ids), b*k)``, overwritten.
    """
    size, count, width = blocks.shape
    for place in range(ids.size):
        row, block = rows[place], blocks[ids[place] % size]
        shares = mixer[ids[place] // size]
        for j in range(count):
            share, entries = shares[j], block[j]
            for i in range(width):
                row[i * count + j] = share * entries[i]
