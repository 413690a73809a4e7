"""Sparse codes of rows for a fixed dictionary: orthogonal matching pursuit.

Source: Rubinstein, Zibulevsky and Elad, "Efficient Implementation of the K-SVD Algorithm using
Batch Orthogonal Matching Pursuit", Technion 2008. With the dictionary's Gram matrix, a residual is
never formed: an atom's correlation with it follows from those with the row and with the chosen
atoms, and each further atom adds one row to the Cholesky factor of their equations.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import EXTREMES, INLINE, JIT, SUM

_TILE = 1_024  # atoms whose correlations stay in the nearest cache while Gram rows are subtracted


@njit(**(SUM | {"cache": False, "forceinline": True}))
def _dot(one, other, length):
    one, other = one[:length], other[:length]
    total = 0.0
    for i in range(length):
        total += one[i] * other[i]
    return total


@njit(**(EXTREMES | {"cache": False}))
def _correlate(left, start, gram, found, weights, count, first, last):
    """Computes ``left = start - weights @ gram[found]`` for some atoms; returns its largest size.

    Slices begin at 0, so that the compiler need not handle negative indices.
    """
    total, begin = left[first:last], start[first:last]
    length = total.size
    for i in range(length):
        total[i] = begin[i]
    together = count // 4 * 4
    for j in range(0, together, 4):  # four at a time, so that sums are read and written less often
        one, two = gram[found[j], first:last], gram[found[j + 1], first:last]
        three, four = gram[found[j + 2], first:last], gram[found[j + 3], first:last]
        a, b, c, d = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        for i in range(length):
            total[i] -= (a * one[i] + b * two[i]) + (c * three[i] + d * four[i])
    for j in range(together, count):
        one, a = gram[found[j], first:last], weights[j]
        for i in range(length):
            total[i] -= a * one[i]
    largest = abs(total[0])
    for i in range(1, length):
        largest = max(largest, abs(total[i]))
    return largest


@njit(**INLINE)
def _find(left, start, gram, found, weights, count, tops):
    """Returns the atom with the largest correlation with a residual, and that correlation."""
    num_atoms = left.size
    for t in range(tops.size):
        first, last = t * _TILE, min((t + 1) * _TILE, num_atoms)
        tops[t] = _correlate(left, start, gram, found, weights, count, first, last)
    t = np.argmax(tops)
    atom = t * _TILE
    while abs(left[atom]) < tops[t]:
        atom += 1
    return atom, tops[t]


@njit(**INLINE)
def _fill_up(found, count):
    """Chooses the first remaining atoms, so that no atom occurs twice in a row."""
    atom = 0
    for j in range(count, found.size):
        taken = True
        while taken:
            taken = False
            for other in range(j):
                taken |= found[other] == atom
            atom += 1
        found[j] = atom - 1


@njit(**JIT)
def pursue(
    thread, threads, barrier, correlations, gram, limits, dependent, values, columns
):  # fmt: skip
    """Finds sparse codes, each row by one thread.

    A row ends early if no atom correlates with its residual, or if the next one is a combination
    of those chosen. Its remaining values are then 0, with distinct columns.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        correlations: Products of rows with atoms, float32 or float64 ``(N, k)``.
        gram: Products of atoms with each other, ``(k, k)``.
        limits: The size that a product must exceed for its atom to be chosen, ``(N,)``.
        dependent: The squared distance from the span of other atoms up to which an atom counts as
            a combination of them, float64.
        values: ``(N, s)``, s at most k, overwritten.
        columns: The atoms of the values, int32 ``(N, s)``, overwritten.
    """
    num_rows, most = values.shape
    num_atoms = gram.shape[0]
    left, weights = np.empty(num_atoms, gram.dtype), np.empty(most, gram.dtype)
    tops = np.empty((num_atoms + _TILE - 1) // _TILE, gram.dtype)
    lower = np.empty((most, most))  # the Cholesky factor of the chosen atoms' Gram matrix
    solved, rest = np.empty(most), np.empty(most)
    for i in range(thread * num_rows // threads, (thread + 1) * num_rows // threads):
        start, found = correlations[i], columns[i]
        count = 0
        while count < most:
            atom, largest = _find(left, start, gram, found, weights, count, tops)
            if largest <= limits[i]:
                break
            row = lower[count]
            for j in range(count):
                common = np.float64(gram[atom, found[j]])
                row[j] = (common - _dot(row, lower[j], j)) / lower[j, j]
            distance = np.float64(gram[atom, atom]) - _dot(row, row, count)
            if distance <= dependent:
                break
            row[count] = np.sqrt(distance)
            solved[count] = (np.float64(start[atom]) - _dot(row, solved, count)) / row[count]
            found[count] = atom
            count += 1
            rest[:count] = solved[:count]
            for j in range(count - 1, -1, -1):
                value = rest[j] / lower[j, j]
                weights[j] = value
                for other in range(j):
                    rest[other] -= value * lower[j, other]
        values[i, :count] = weights[:count]
        values[i, count:] = 0
        _fill_up(found, count)
