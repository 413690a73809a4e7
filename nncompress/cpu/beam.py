"""Codes for a fixed codebook, one group after the other along many paths: beam search.

Source: Babenko and Lempitsky, "Additive Quantization for Extreme Vector Compression", CVPR 2014,
section 3 (encoding); the order of groups and the look-up of inner products are those of residual
quantization with a beam (Liu et al., "Improved Residual Vector Quantization", 2015).
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import EXTREMES, JIT, SUM
from nncompress.cpu.icm import rounding_margin, unary_terms
from nncompress.cpu.vectors import gather_sum

# How often the range in which a limit lies is halved; equal costs may end it no sooner.
_BISECTIONS = 24
# Rows that go from group to group together, so that what a group needs of the Gram matrix is read
# from the nearest cache.
_TILE_ROWS = 16


@njit(**SUM)
def _count_below(values, limit):
    """Counts values up to a limit, as a float: integers would be counted fewer at a time."""
    count = values.dtype.type(0)
    one, nothing = values.dtype.type(1), values.dtype.type(0)
    for i in range(values.size):
        count += one if values[i] <= limit else nothing
    return count


@njit(**EXTREMES)
def _extremes(values):
    """Returns the least and the largest of finite values."""
    low, high = values[0], values[0]
    for i in range(values.size):
        low = values[i] if values[i] < low else low
        high = values[i] if values[i] > high else high
    return low, high


@njit(**JIT)
def _limit(values, wanted):
    """Returns a limit that at least ``wanted`` values keep to, and hardly more of them."""
    low, high = _extremes(values)
    half = values.dtype.type(0.5)
    for _ in range(_BISECTIONS):
        middle = low + half * (high - low)
        count = _count_below(values, middle)
        if count >= wanted:
            high = middle
            if count == wanted:
                break
        else:
            low = middle
    return high


@njit(**JIT)
def _extend(
    paths, totals, count, longer, longer_totals, step, group, unary, pairs, costs, chosen
):  # fmt: skip
    """Extends a row's paths by one group, and keeps the best ones; returns how many."""
    num_codewords = pairs.shape[2]
    first = group * num_codewords
    address = np.int64(costs.ctypes.data)
    terms = np.int64(unary.ctypes.data + 4 * first)
    block = np.int64(pairs.ctypes.data + 4 * group * pairs.shape[1] * num_codewords)
    sizes = (np.int64(step), np.int64(num_codewords), np.int64(num_codewords))
    for path in range(count):
        gather_sum(
            address + 4 * path * num_codewords, terms, block,
            np.int64(paths[path].ctypes.data), totals[path], sizes,
        )  # fmt: skip
    total = count * num_codewords
    width = totals.size
    limit = np.float32(np.inf)
    if total > width:
        limit = _limit(costs[:total], width)
    found = 0
    for candidate in range(total):  # without a branch, which could not be foreseen
        chosen[found] = candidate
        found += costs[candidate] <= limit
    found = min(found, width)
    for place in range(found):
        candidate = chosen[place]
        source, target = paths[candidate // num_codewords], longer[place]
        for earlier in range(step):
            target[earlier] = source[earlier]
        target[step] = first + candidate % num_codewords
        longer_totals[place] = costs[candidate]
    return found


@njit(**JIT)
def _cost(codes, order, unary, pairs, num_codewords):
    """Returns what codes cost, but for the row's own squares."""
    cost = unary.dtype.type(0)
    for step in range(order.size):
        group = order[step]
        code = codes[group]
        cost += unary[group * num_codewords + code]
        for earlier in range(step):
            other = order[earlier]
            cost += pairs[group, other * num_codewords + codes[other], code]
    return cost


@njit(**JIT)
def search(thread, threads, barrier, x, codewords, norms, pairs, codes, order, width):
    """Replaces the codes of rows where beam search finds better ones.

    Groups are decided in a given order. The best ``width`` partial choices are kept each time.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: float32 ``(n, D)``, C-contiguous.
        codewords: The codebook's transpose, ``(D, L)``, packed by ``panels.py``.
        norms: Squared norms of the codewords, ``(L,)``.
        pairs: Twice the inner products of the codewords of a group with all codewords,
            ``(M, L, K)``.
        codes: int32 ``(n, M)``, improved in place.
        order: int64 ``(M,)``: the groups, in the order in which they are decided.
        width: Number of paths that are kept, at least 1.
    """
    num_rows, num_codebooks = codes.shape
    num_codewords = norms.size // num_codebooks
    height = min(_TILE_ROWS, num_rows)
    unary = np.empty((height, norms.size), x.dtype)
    # Codewords of each path, in the order of the groups, and each path's cost so far; both twice,
    # before and after a step.
    paths = np.empty((2, height, width, num_codebooks), np.int32)
    totals = np.zeros((2, height, width), x.dtype)
    counts = np.empty(height, np.int64)
    costs = np.empty(width * num_codewords, x.dtype)
    chosen = np.empty(costs.size + 1, np.int32)
    for first in range(thread * height, num_rows, threads * height):
        n = min(height, num_rows - first)
        unary_terms(unary[:n], x[first : first + n], codewords, norms)
        counts[:] = 1
        totals[0, :, 0] = 0
        for step in range(num_codebooks):
            now, then = step % 2, 1 - step % 2
            for i in range(n):
                counts[i] = _extend(
                    paths[now, i], totals[now, i], counts[i], paths[then, i], totals[then, i],
                    step, order[step], unary[i], pairs, costs, chosen,
                )  # fmt: skip
        last = num_codebooks % 2
        for i in range(n):
            best = np.argmin(totals[last, i, : counts[i]])
            current = codes[first + i]
            old = _cost(current, order, unary[i], pairs, num_codewords)
            gain = old - totals[last, i, best]
            if gain > rounding_margin(x[first + i]):
                for step in range(num_codebooks):
                    group = order[step]
                    current[group] = paths[last, i, best, step] - group * num_codewords
