"""Adding rows up by their codes, for the least-squares codebook."""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import JIT

_TILE_ROWS = 256  # stay in the cache while one group after the other adds them up


@njit(**JIT)
def tally(thread, threads, barrier, x, weights, codes, num_codewords, counts, sums):
    """Adds rows to the sums that give the least-squares codebook, each group by one thread.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: groups do not depend on each other.
        x: ``(n, D)``.
        weights: The rows' weights, float64 ``(n,)``.
        codes: int32 ``(n, M)``.
        num_codewords: K.
        counts: float64 ``(L, L)``: the weight of the rows that use two codewords together. Only
            entries whose row belongs to a later group than their column are added to.
        sums: float64 ``(L, D)``: the weighted sums of the rows that use each codeword.
    """
    num_rows, num_codebooks = codes.shape
    for first in range(0, num_rows, _TILE_ROWS):
        for group in range(thread, num_codebooks, threads):
            last = min(first + _TILE_ROWS, num_rows)
            # In a loop of its own, so that many of these memory accesses overlap.
            for i in range(first, last):
                weight, unit = weights[i], group * num_codewords + codes[i, group]
                for other in range(group + 1):
                    counts[unit, other * num_codewords + codes[i, other]] += weight
            for i in range(first, last):
                row, total = x[i], sums[group * num_codewords + codes[i, group]]
                weight = weights[i]
                for j in range(row.size):
                    total[j] += weight * np.float64(row[j])
