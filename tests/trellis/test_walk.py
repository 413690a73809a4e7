"""Walks through trellises, against the plain Viterbi algorithm and against all walks there are."""

import itertools

import numpy as np
import pytest

from nncompress.cpu import trellis as kernels
from nncompress.embedding.trellis_code import trellis_code
from nncompress.machine import Team
from nncompress.trellis.scales import Scales

SCALES = Scales.gaussian()


def found_by_walk(rows, offsets, axis_scales, lam, state_bits, threads=1):
    levels = np.full(rows.shape, -9, np.int16)
    kernels.find_levels(
        rows, levels, offsets, axis_scales, SCALES.tables, lam, trellis_code(state_bits).labels,
        Team(threads),
    )  # fmt: skip
    return levels


def bits_of(scales, m, c, k):
    """The bits of a level's magnitude and sign by the format's definition."""
    shift = int(scales.shifts[m])
    symbol = min(k >> shift, 15)
    bits = shift + (k > 0) - np.log2(scales.frequencies[m, c, symbol] / 4096)
    if symbol == 15:
        bits += 4 + int(np.log2((k >> shift) - 14))
    return bits


def value_of(scales, m, c, k):
    return float(scales.points[m, c, k]) if k < 4 else 2 * k - c


def candidates(scales, x, m, lam):
    """Returns cost and level of the best levels by quantizer and parity, (2, 2, 2)."""
    best = np.zeros((2, 2, 2))
    for c, odd in itertools.product((0, 1), (0, 1)):
        most = int(abs(x) / 2) + 4
        costs = [
            ((abs(x) - value_of(scales, m, c, k)) ** 2 + lam * bits_of(scales, m, c, k), k)
            for k in range(odd, most + 1, 2)
        ]
        best[c, odd] = min(costs)
    return best


def cost_of(scales, x, levels, ms, lam, code):
    """Returns the cost of a row's levels, walking from state 0."""
    state, total = 0, 0.0
    for number, level, m in zip(x, levels, ms, strict=True):
        c, k = int(code.quantizers[state]), abs(int(level))
        size = abs(number) if level * number >= 0 else -abs(number)
        total += (size - value_of(scales, m, c, k)) ** 2 + lam * bits_of(scales, m, c, k)
        state = int(code.next_states[state, k % 2])
    return total


def least_cost(scales, x, ms, lam, code):
    """The least cost there is among best levels, by the plain algorithm in float64."""
    costs = np.full(len(code.labels), np.inf)
    costs[0] = 0
    for number, m in zip(x, ms, strict=True):
        best = candidates(scales, number, m, lam)
        after = np.full_like(costs, np.inf)
        for state in np.flatnonzero(np.isfinite(costs)):
            for odd in (0, 1):
                c, following = code.quantizers[state], code.next_states[state, odd]
                after[following] = min(after[following], costs[state] + best[c, odd, 0])
        costs = after
    return costs.min()


@pytest.mark.parametrize("state_bits", [3, 6, 8])
@pytest.mark.parametrize("lam", [0.0, 0.35])
def test_the_walk_has_the_least_cost(state_bits, lam, random):
    num_rows, num_axes = 19, 30
    axis_scales = random.integers(-2, 30, num_axes).astype(np.int32)
    offsets = random.integers(-3, 4, num_rows).astype(np.int32)
    ms = np.clip(axis_scales + offsets[:, None], 0, 51)
    rows = (0.12 * 1.2**ms * random.normal(size=ms.shape)).astype(np.float32)
    rows[3] = 0
    rows[4] *= 9
    levels = found_by_walk(rows, offsets, axis_scales, lam, state_bits)
    code = trellis_code(state_bits)
    for x, found, m in zip(rows.astype(np.float64), levels, ms, strict=True):
        least = least_cost(SCALES, x, m, lam, code)
        cost = cost_of(SCALES, x, found, m, lam, code)
        # Each axis's cost is rounded to a 256th.
        assert least - 1e-3 <= cost <= least + num_axes / 256


def test_no_sequence_of_levels_is_cheaper(random):
    axis_scales, lam, code = np.array([7, 3, 10, 5], np.int32), 0.3, trellis_code(3)
    rows = random.normal(size=(6, 4)).astype(np.float32) * 2
    levels = found_by_walk(rows, np.zeros(6, np.int32), axis_scales, lam, 3)
    for x, found in zip(rows.astype(np.float64), levels, strict=True):
        every = itertools.product(range(-4, 5), repeat=4)
        least = min(cost_of(SCALES, x, one, axis_scales, lam, code) for one in every)
        assert cost_of(SCALES, x, found, axis_scales, lam, code) <= least + 4 / 256


def test_signs_are_those_of_the_numbers(random):
    rows = random.normal(size=(40, 50)).astype(np.float32) * 3
    axis_scales = np.full(50, 18, np.int32)
    levels = found_by_walk(rows, np.zeros(40, np.int32), axis_scales, 0.3, 6)
    assert (levels * rows >= 0).all()
    mirrored = found_by_walk(-rows, np.zeros(40, np.int32), axis_scales, 0.3, 6)
    assert (mirrored == -levels).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_levels_depend_neither_on_threads_nor_on_neighbours(threads, random):
    rows = random.normal(size=(150, 20)).astype(np.float32) * 3
    offsets = random.integers(-4, 5, 150).astype(np.int32)
    axis_scales = random.integers(5, 20, 20).astype(np.int32)
    levels = found_by_walk(rows, offsets, axis_scales, 0.3, 6)
    again = found_by_walk(rows, offsets, axis_scales, 0.3, 6, threads)
    assert (levels == again).all()
    for some in (np.arange(5, 8), random.permutation(150), np.array([149])):
        part = found_by_walk(rows[some], offsets[some], axis_scales, 0.3, 6)
        assert (part == levels[some]).all()


def test_numbers_beyond_all_levels_get_the_largest(random):
    rows = np.array([[1e5, -1e9, 3.0, np.float32(3e38)]], np.float32)
    scales = np.full(4, 51, np.int32)
    levels = found_by_walk(rows, np.zeros(1, np.int32), scales, 0.3, 3)
    assert (np.abs(levels[0, [0, 1, 3]].astype(int)) >= 32_764).all()
    assert (np.sign(levels[0]) == [1, -1, 1, 1]).all()
