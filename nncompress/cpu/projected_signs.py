"""Signs with which a sum of random projections comes close to given vectors.

A vector a is approximated by ``c * sum_j x_j r_j`` with signs x, each of which is the best one
given the others: coordinate descent. Started from signs, this soon gets stuck. So x are numbers
from -1 to 1 at first, and the objective is

    ``||a - c sum_j x_j r_j||^2 - share * c^2 sum_j ||r_j||^2 x_j^2``:

least squares in a box if the share is 0. As it grows, more and more numbers are -1 or 1, and all
of them when it is 1, because then the best number is a sign. Source of this path from a convex
problem to a concave one: Zaslavskiy, Bach and Vert, "A Path Following Algorithm for the Graph
Matching Problem", PAMI 2009, section 3.

A vector's residual is updated for a block of projections at a time. Within the block, the inner
products of projections give the effect of each step on the others, so that nearly all of the work
is matrix products. Source: Friedman, Hastie and Tibshirani, "Regularization Paths for Generalized
Linear Models via Coordinate Descent", JSS 2010, section 2.2.

Vectors are columns, in tiles as wide as a panel, packed like a product's right matrix.
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE, JIT
from nncompress.cpu.product import product

BLOCK = 64  # projections whose inner products are known


@njit(**INLINE)
def _settle(common, gram, x, scales, rest, steps, count):
    """Sets numbers one after the other; ``steps`` gets what that adds to the residual."""
    one = x.dtype.type(1)
    for j in range(len(gram)):
        common_of, x_of, step = common[j], x[j], steps[j]
        size = gram[j, j]
        for i in range(count):  # without branches, so that it is vectorized
            weight = scales[i] * size
            wanted, room = weight * x_of[i] + common_of[i], weight * rest
            new = one if wanted > 0 else -one if wanted < 0 else x_of[i]
            inside = abs(wanted) < room
            share = wanted / (room if inside else one)
            new = share if inside else new
            step[i] = (x_of[i] - new) * scales[i]
            x_of[i] = new
        for other in range(j + 1, len(gram)):
            weight, common_of = gram[j, other], common[other]
            for i in range(count):
                common_of[i] += weight * step[i]


@njit(**JIT)
def begin(thread, threads, barrier, projections, vectors, left, x, scratch, count):
    """Sets the numbers of some projections to the signs of vectors' inner products with them.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: vectors do not depend on each other.
        projections: r, float32 or float64 ``(k, m)``, C-contiguous.
        vectors: a, of the same type, ``(tiles, m, panel)``.
        left: Like ``vectors``; ``sum_j x_j r_j`` is subtracted.
        x: 1 and -1, 1 for an inner product of 0, ``(tiles, k, panel)``, overwritten.
        scratch: ``(threads, 2, BLOCK, panel)``.
        count: The number of columns of a tile in use, in whole vectors.
    """
    common, steps = scratch[thread]
    one = x.dtype.type(1)
    for tile in range(thread, len(vectors), threads):
        for first in range(0, len(projections), BLOCK):
            some = projections[first : first + BLOCK]
            product(some, False, vectors[tile], common[: len(some), :count], False)
            for j in range(len(some)):
                x_of = x[tile, first + j]
                for i in range(count):
                    x_of[i] = one if common[j, i] >= 0 else -one
                    steps[j, i] = -x_of[i]
            product(some, True, steps, left[tile, :, :count], True)


@njit(**JIT)
def improve(
    thread, threads, barrier, projections, grams, share, scales, left, x, scratch, count
):  # fmt: skip
    """Sets the numbers of some projections to the best ones, in turn.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: vectors do not depend on each other.
        projections: r, float32 or float64 ``(k, m)``, C-contiguous.
        grams: Their inner products by blocks, of the same type, ``(ceil(k / BLOCK), BLOCK,
            BLOCK)``.
        share: How much the numbers are drawn to 1 and -1, from 0 to 1.
        scales: c, ``(tiles, panel)``.
        left: ``a - c sum_j x_j r_j``, ``(tiles, m, panel)``, kept up to date.
        x: From -1 to 1, ``(tiles, k, panel)``, replaced.
        scratch: ``(threads, 2, BLOCK, panel)``.
        count: The number of columns of a tile in use, in whole vectors.
    """
    common, steps = scratch[thread]
    rest = x.dtype.type(1 - share)
    for tile in range(thread, len(left), threads):
        for first in range(0, len(projections), BLOCK):
            some = projections[first : first + BLOCK]
            size = len(some)
            product(some, False, left[tile], common[:size, :count], False)
            gram = grams[first // BLOCK, :size, :size]
            numbers = x[tile, first : first + size]
            _settle(common, gram, numbers, scales[tile], rest, steps, count)
            product(some, True, steps, left[tile, :, :count], True)


@njit(**JIT)
def rescale(thread, threads, barrier, vectors, left, scales, count):
    """Sets scales to those of least squares, or to 0 where they would be negative; 0 stays 0.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: vectors do not depend on each other.
        vectors: a, float32 or float64 ``(tiles, m, panel)``.
        left: ``a - c b``, of the same shape, for other c.
        scales: c, ``(tiles, panel)``.
        count: The number of columns of a tile in use.
    """
    common, squares = np.empty(count), np.empty(count)
    factors = np.empty(count, left.dtype)
    for tile in range(thread, len(vectors), threads):
        common[:] = 0
        squares[:] = 0
        for row in range(vectors.shape[1]):
            a, rest = vectors[tile, row], left[tile, row]
            for i in range(count):
                b = np.float64(a[i]) - np.float64(rest[i])
                common[i] += a[i] * b
                squares[i] += b * b
        for i in range(count):
            factors[i] = max(0.0, common[i] / squares[i]) if squares[i] > 0 else 0.0
            scales[tile, i] *= factors[i]
        for row in range(vectors.shape[1]):
            a, rest = vectors[tile, row], left[tile, row]
            for i in range(count):
                rest[i] = a[i] - factors[i] * (a[i] - rest[i])
