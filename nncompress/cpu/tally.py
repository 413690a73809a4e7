"""Adding rows up by their codes, for the least-squares codebook."""

import numpy as np
from numba import njit

from nncompress.cpu.elementary import JIT

_TILE_ROWS = 256  # which stay in cache while one group after the other takes them up


@njit(**JIT)
def tally(thread, threads, barrier, x, weights, codes, num_codewords, counts, sums):
    """Adds rows to what the least-squares codebook is made from, each group by one thread.

    Args:
        thread: Number of this thread in the team.
        threads: Size of the team.
        barrier: Not used: groups do not depend on each other.
        x: ``(n, D)``.
        weights: The rows' weights, float64 ``(n,)``.
        codes: int32 ``(n, M)``.
        num_codewords: K.
        counts: float64 ``(L, L)``: the weight of the rows that use two codewords together. Rows of
            later groups than the column's are added to, the others are left as they are.
        sums: float64 ``(L, D)``: the weighted sum of the rows that use a codeword.
    """
    num_rows, num_codebooks = codes.shape
    for first in range(0, num_rows, _TILE_ROWS):
        for group in range(thread, num_codebooks, threads):
            last = min(first + _TILE_ROWS, num_rows)
            # Apart from the sums, so that many of these places are waited for at once.
            for i in range(first, last):
                weight, unit = weights[i], group * num_codewords + codes[i, group]
                for other in range(group + 1):
                    counts[unit, other * num_codewords + codes[i, other]] += weight
            for i in range(first, last):
                row, total = x[i], sums[group * num_codewords + codes[i, group]]
                weight = weights[i]
                for j in range(row.size):
                    total[j] += weight * np.float64(row[j])
