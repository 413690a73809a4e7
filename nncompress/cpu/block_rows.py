"""Rows of matrices that are products with matrices of small blocks."""

from numba import njit

from nncompress.cpu.elementary import JIT


@njit(**JIT)
def weighted_rows(weights, table, ids, rows):
    """Writes rows of the product of a block-diagonal matrix and a table.

    Args:
        weights: float32 or float64 ``(a, b)``, the block that each b rows of the table share.
        table: ``(k*b, n)``, of the same type.
        ids: Numbers of rows, int64, from 0 to ``k*a - 1``.
        rows: ``(len(ids), n)``, of the same type, overwritten.
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
    """Writes rows of a matrix of mixed blocks: interleaved entries of blocks, times the mixer.

    Args:
        blocks: float32 or float64 ``(a, k, b)``.
        mixer: ``(k, k)``, of the same type.
        ids: Numbers of rows, int64, from 0 to ``k*a - 1``.
        rows: ``(len(ids), b*k)``, of the same type, overwritten.
    """
    size, count, width = blocks.shape
    for place in range(ids.size):
        row, block = rows[place], blocks[ids[place] % size]
        shares = mixer[ids[place] // size]
        for j in range(count):
            share, entries = shares[j], block[j]
            for i in range(width):
                row[i * count + j] = share * entries[i]
