"""Beam search: finding codes for a fixed codebook, one group after the other on many paths.

Source: Babenko and Lempitsky, "Additive Quantization for Extreme Vector Compression", CVPR 2014,
section 3 (encoding); the order of groups and the look-up of inner products are those of residual
quantization with a beam (Liu et al., "Improved Residual Vector Quantization", 2015).
"""

import numpy as np
from numba import njit

from nncompress.cpu.arena import empty_rows
from nncompress.cpu.elementary import JIT
from nncompress.cpu.icm import rounding_margin, unary_terms
from nncompress.cpu.vectors import (
    TOGETHER,
    add_branch,
    copy,
    count_bits,
    extremes,
    lowest_bit,
    shared,
    up_to,
)

# The most times that the range of a limit is halved, as equal costs may never end the search.
_BISECTIONS = 24
# Rows that go from group to group together, so that a group's part of the Gram matrix is read from
# the nearest cache.
_TILE_ROWS = 16
BLOCK = 16  # numbers in a cache line, of which lengths of rows are multiples
_WORD = 64  # costs to compare with a limit at a time
# Costs are divided into classes whose lowest costs are known: rows of classes.
_CLASSES = 32
_LARGEST = np.finfo(np.float32).max


@njit(**JIT)
def _count_up_to(values, limit):
    """Counts the values up to a limit; the number of values is a multiple of 64."""
    first = np.int64(values.ctypes.data)
    count = 0
    for word in range(values.size // _WORD):
        count += count_bits(up_to(first + 4 * _WORD * word, limit))
    return count


@njit(**JIT)
def _limit(values, wanted, most):
    """Returns a limit that ``wanted`` values or more, but rarely over ``most``, do not exceed.

    Args:
        values: float32, some of them infinite; their number is a multiple of 64.
        wanted: At least 1.
        most: At least ``wanted``.

    Returns:
        The limit; the largest finite number if there are too few finite values.
    """
    if _count_up_to(values, _LARGEST) < wanted:
        return _LARGEST
    low, high = extremes(np.int64(values.ctypes.data), np.int64(values.size))
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
    """Finds the ``width`` lowest of some costs.

    These are no higher than the ``width`` lowest of the classes' lowest costs. So the classes give
    a limit that few costs do not exceed, and only those are examined.

    Args:
        costs: float32, some of them infinite; room for 64 more.
        count: The number of costs.
        lows: The classes' lowest costs, float32; their number is a multiple of 64.
        width: Number of costs wanted.
        chosen: int32, the places of the lowest costs, in order; as much room as for costs.
        kept: float32, the lowest costs themselves; as much room as for costs.

    Returns:
        The number of costs found.
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
        for i in range(among):  # without a branch, which would be unpredictable
            cost, place = kept[i], chosen[i]
            kept[found], chosen[found] = cost, place
            found += cost <= limit
    return min(found, width)


@njit(**JIT)
def _add_up(paths, totals, count, step, terms, block, sums, costs, lows):
    """Computes the cost of a row's paths with each codeword of the next group.

    Paths are in the order of the tree that they form, so that the part that a path shares with the
    one before it has already been added up.

    Args:
        paths: int32 ``(width, M or more)``, the codewords of each path.
        totals: float32 ``(width,)``, the cost of each path so far.
        count: Number of paths.
        step: Number of codewords in each path.
        terms: float32, the cost of each codeword by itself.
        block: float32, the group's part of the Gram matrix, with as many columns.
        sums: float32 ``(M + 1, K or more)``, scratch: partial sums along a path.
        costs: float32, one path after the other.
        lows: float32, the lowest cost of each class.
    """
    length = np.int64(block.shape[1])
    together = np.int64(TOGETHER if length == BLOCK else 1)  # as in ``add_branch``
    levels = np.int64(max(step - 1, 0)) // together
    # For short rows, one sum is computed for each path even if it is known, so that most paths
    # take the same branches.
    most = max(levels - np.int64(together > 1), np.int64(0))
    compared = np.int64((step + BLOCK - 1) // BLOCK * BLOCK)
    matrix, begin = np.int64(block.ctypes.data), np.int64(sums.ctypes.data)
    row, least = np.int64(costs.ctypes.data), np.int64(lows.ctypes.data)
    units, path_bytes = np.int64(paths.ctypes.data), np.int64(4 * paths.shape[1])
    copy(begin, np.int64(terms.ctypes.data), length)
    lows[:] = np.inf
    known = np.int64(0)
    for path in range(count):
        if path > 0:
            known = min(shared(units, units - path_bytes, compared) // together, most)
        add_branch(
            row, least + 4 * BLOCK * (path % _CLASSES), begin, matrix, units, totals[path],
            (known, levels, np.int64(step), length),
        )  # fmt: skip
        units += path_bytes
        row += 4 * length


@njit(**JIT)
def _follow(paths, chosen, kept, found, step, first, length, longer, totals):
    """Writes the paths that were chosen, each longer by one codeword."""
    copied = np.int64((step + BLOCK - 1) // BLOCK * BLOCK)
    source, path_bytes = np.int64(paths.ctypes.data), np.int64(4 * paths.shape[1])
    target = np.int64(longer.ctypes.data)
    for i in range(found):
        place = np.uint32(chosen[i])
        path = place // np.uint32(length)
        copy(target + i * path_bytes, source + np.int64(path) * path_bytes, copied)
        longer[i, step] = first + (place - path * np.uint32(length))
        totals[i] = kept[i]


@njit(**JIT)
def _cost(codes, order, unary, pairs, num_codewords):
    """Returns the cost of codes, without the row's own squares."""
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

    Groups are decided in a given order, and the best ``width`` partial choices are kept each time.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: rows do not depend on each other.
        x: float32 ``(n, D)``, C-contiguous.
        codewords: The codebook's transpose, ``(D, L)``, packed by ``panels.py``.
        norms: Squared norms of the codewords, ``(L,)``.
        pairs: Twice the inner products of the codewords of a group with all codewords, padded with
            anything to a multiple of ``BLOCK``, ``(M, L, K or more)``.
        codes: int32 ``(n, M)``, improved in place.
        order: int64 ``(M,)``, the groups in the order in which they are decided.
        width: Number of paths that are kept, at least 1.
    """
    num_rows, num_codebooks = codes.shape
    num_codewords, length = norms.size // num_codebooks, pairs.shape[2]
    height = min(_TILE_ROWS, num_rows)
    unary = empty_rows(height, norms.size)
    # The same, padded to a multiple of ``BLOCK`` with codewords that are never chosen.
    terms = empty_rows(height, num_codebooks * length).reshape(height, num_codebooks, length)
    terms[:, :, num_codewords:] = np.inf
    # The codewords of each path, in the order of the groups, and each path's cost so far; both
    # twice, for before and after a step.
    room = (num_codebooks + BLOCK - 1) // BLOCK * BLOCK
    paths = np.zeros((2, height, width, room), np.int32)
    totals = np.zeros((2, height, width), np.float32)
    counts = np.empty(height, np.int64)
    costs = empty_rows(1, width * length + _WORD)[0]
    sums = empty_rows(num_codebooks + 1, length)
    lows = empty_rows(1, _CLASSES * BLOCK)[0]
    chosen, kept = np.empty(costs.size, np.int32), np.empty(costs.size, np.float32)
    for first in range(thread * height, num_rows, threads * height):
        n = min(height, num_rows - first)
        unary_terms(unary[:n], x[first : first + n], codewords, norms)
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
                _add_up(
                    paths[now, i], totals[now, i], counts[i], step, terms[i, group], pairs[group],
                    sums, costs, lows,
                )  # fmt: skip
                rows = min(counts[i], _CLASSES) * BLOCK
                found = _choose(
                    costs, counts[i] * length, lows[: (rows + _WORD - 1) // _WORD * _WORD], width,
                    chosen, kept,
                )  # fmt: skip
                _follow(
                    paths[now, i], chosen, kept, found, step, group * num_codewords, length,
                    paths[then, i], totals[then, i],
                )  # fmt: skip
                counts[i] = found
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
