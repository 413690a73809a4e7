"""Codes for a fixed codebook, one group after the other along many paths: beam search.

Source: Babenko and Lempitsky, "Additive Quantization for Extreme Vector Compression", CVPR 2014,
section 3 (encoding); the order of groups and the look-up of inner products are those of residual
quantization with a beam (Liu et al., "Improved Residual Vector Quantization", 2015).
"""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import EXTREMES, JIT
from nncompress.cpu.icm import empty_rows, rounding_margin, unary_terms
from nncompress.cpu.vectors import copy, count_bits, gather_sum, lower, lowest_bit, up_to

# How often the range in which a limit lies is halved; equal costs may end it no sooner.
_BISECTIONS = 24
# Rows that go from group to group together, so that what a group needs of the Gram matrix is read
# from the nearest cache.
_TILE_ROWS = 16
BLOCK = 16  # what lengths of rows are multiples of, in numbers: a line of the caches
_WORD = 64  # costs that are compared with a limit together
# Costs are divided into classes of which the least costs are known: rows of classes.
_CLASSES = 32
_LARGEST = np.finfo(np.float32).max


@njit(**EXTREMES)
def _extremes(values):
    """Returns the least and the largest of the finite values; there is one at least."""
    low, high = _LARGEST, -_LARGEST
    for i in range(values.size):
        value = values[i]
        low = value if value < low else low
        finite = value if value <= _LARGEST else -_LARGEST
        high = finite if finite > high else high
    return low, high


@njit(**JIT)
def _count_up_to(values, limit):
    """Counts values up to a limit; their number is a multiple of 64."""
    first = np.int64(values.ctypes.data)
    count = 0
    for word in range(values.size // _WORD):
        count += count_bits(up_to(first + 4 * _WORD * word, limit))
    return count


@njit(**JIT)
def _limit(values, wanted, most):
    """Returns a limit that at least ``wanted`` values keep to, and hardly more than ``most``.

    Args:
        values: float32, some of them infinite; their number is a multiple of 64.
        wanted: At least 1.
        most: At least ``wanted``.

    Returns:
        The largest finite number if there are too few finite values.
    """
    if _count_up_to(values, _LARGEST) < wanted:
        return _LARGEST
    low, high = _extremes(values)
    half = np.float32(0.5)
    for _ in range(_BISECTIONS):
        middle = low + half * (high - low)
        count = _count_up_to(values, middle)
        if count >= wanted:
            high = middle
            if count <= most:
                break
        else:
            low = middle
    return high


@njit(**JIT)
def _choose(costs, count, lows, width, chosen, kept):
    """Finds the best ``width`` of some costs.

    Whatever is among the best ``width`` of all is no worse than the ``width`` best of the classes'
    least costs. So a look at the classes finds a limit that few costs keep to, and those are
    looked at closely.

    Args:
        costs: float32, some of them infinite; room for 64 more.
        count: How many they are.
        lows: The classes' least costs, float32; their number is a multiple of 64.
        width: Number of costs wanted.
        chosen: int32, the places of the best costs in their order; as much room as costs have.
        kept: float32, the same for the costs themselves.

    Returns:
        How many there are.
    """
    limit = _limit(lows, width, width + width // 8)
    first = np.int64(costs.ctypes.data)
    costs[count : count + _WORD] = np.inf
    found = 0
    for start in range(0, count, _WORD):
        bits = up_to(first + 4 * start, limit)
        while bits != 0:
            place = start + lowest_bit(bits)
            bits &= bits - 1
            chosen[found] = place
            kept[found] = costs[place]
            found += 1
    if found > width:
        kept[found : found + _WORD] = np.inf
        limit = _limit(kept[: (found + _WORD - 1) // _WORD * _WORD], width, width)
        among, found = found, 0
        for i in range(among):  # without a branch, which could not be foreseen
            cost, place = kept[i], chosen[i]
            kept[found], chosen[found] = cost, place
            found += cost <= limit
    return min(found, width)


@njit(**JIT)
def _extend(
    paths, totals, count, longer, longer_totals, step, first, terms, block, costs, lows, chosen, kept
):  # fmt: skip
    """Extends a row's paths by one group, and keeps the best ones; returns how many."""
    length = np.int64(block.shape[1])
    address, begin = np.int64(costs.ctypes.data), np.int64(terms.ctypes.data)
    matrix, least = np.int64(block.ctypes.data), np.int64(lows.ctypes.data)
    sizes = (np.int64(step), length, length)
    lows[:] = np.inf
    for path in range(count):
        row = address + 4 * path * length
        units = np.int64(paths[path].ctypes.data)
        gather_sum(row, begin, matrix, units, totals[path], sizes)
        lower(least + 4 * BLOCK * (path % _CLASSES), row, length)
    classes = lows[: (min(count, _CLASSES) * BLOCK + _WORD - 1) // _WORD * _WORD]
    found = _choose(costs, count * length, classes, totals.size, chosen, kept)
    copied = np.int64((step + BLOCK - 1) // BLOCK * BLOCK)
    for i in range(found):
        place = np.uint32(chosen[i])
        path = place // np.uint32(length)
        target = longer[i]
        copy(np.int64(target.ctypes.data), np.int64(paths[path].ctypes.data), copied)
        target[step] = first + (place - path * np.uint32(length))
        longer_totals[i] = kept[i]
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
def search(thread, threads, barrier, x, codebook_t, norms, pairs, codes, order, width):
    """Replaces the codes of rows where beam search finds better ones.

    Groups are decided in a given order. The best ``width`` partial choices are kept each time.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: float32 ``(n, D)``, C-contiguous.
        codebook_t: The codebook transposed, ``(D, L)``.
        norms: Squared norms of the codewords, ``(L,)``.
        pairs: Twice the inner products of the codewords of a group with all codewords, and
            anything up to a multiple of ``BLOCK``, ``(M, L, K and more)``.
        codes: int32 ``(n, M)``, improved in place.
        order: int64 ``(M,)``: the groups, in the order in which they are decided.
        width: Number of paths that are kept, at least 1.
    """
    num_rows, num_codebooks = codes.shape
    num_codewords, length = norms.size // num_codebooks, pairs.shape[2]
    height = min(_TILE_ROWS, num_rows)
    unary = empty_rows(height, norms.size)
    # The same, with codewords that are never chosen up to a multiple of ``BLOCK``.
    terms = empty_rows(height, num_codebooks * length).reshape(height, num_codebooks, length)
    terms[:, :, num_codewords:] = np.inf
    # Codewords of each path, in the order of the groups, and each path's cost so far; both twice,
    # before and after a step.
    room = (num_codebooks + BLOCK - 1) // BLOCK * BLOCK
    paths = np.zeros((2, height, width, room), np.int32)
    totals = np.zeros((2, height, width), np.float32)
    counts = np.empty(height, np.int64)
    costs = empty_rows(1, width * length + _WORD)[0]
    lows = empty_rows(1, _CLASSES * BLOCK)[0]
    chosen, kept = np.empty(costs.size, np.int32), np.empty(costs.size, np.float32)
    for first in range(thread * height, num_rows, threads * height):
        n = min(height, num_rows - first)
        unary_terms(unary[:n], x[first : first + n], codebook_t, norms)
        for i in range(n):
            for group in range(num_codebooks):
                for k in range(num_codewords):
                    terms[i, group, k] = unary[i, group * num_codewords + k]
        counts[:] = 1
        totals[0, :, 0] = 0
        for step in range(num_codebooks):
            now, then = step % 2, 1 - step % 2
            group = order[step]
            for i in range(n):
                counts[i] = _extend(
                    paths[now, i], totals[now, i], counts[i], paths[then, i], totals[then, i],
                    step, group * num_codewords, terms[i, group], pairs[group], costs, lows,
                    chosen, kept,
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
