"""Costs of levels, rounded after each operation."""

import numpy as np
from numba import njit

from nncompress.cpu.trellis import _best_level
from nncompress.trellis.scales import Scales


@njit
def best_levels(sizes, scale, points, bits, shifts, lam, levels, costs):
    for i in range(len(sizes)):
        levels[i], costs[i] = _best_level(sizes[i], 0, 0, scale, points, bits, shifts, lam)


def test_costs_are_those_of_single_operations(random):
    """Fused ones, where a processor has them, would let levels differ between processors."""
    points, bits, shifts = Scales.gaussian().tables
    scale, lam = 15, np.float32(0.337)
    assert shifts[scale] == 0
    sizes = random.exponential(4.0, size=5_000).astype(np.float32)
    sizes = sizes[sizes < 28]  # beyond, there are no tables
    levels, costs = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.float32)
    best_levels(sizes, scale, points, bits, shifts, lam, levels, costs)
    errors = sizes - np.float32(2) * levels.astype(np.float32)
    spent = bits[scale, 0, levels] + (levels > 0).astype(np.float32)
    assert np.array_equal(costs, errors * errors + lam * spent)
