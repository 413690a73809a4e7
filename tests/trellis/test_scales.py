import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.trellis.scales import MOST_SCALES, RATIO, Scales, in_slots, scale_of


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=300), st.integers(0, 300))
def test_frequencies_add_up_and_are_never_nothing(weights, place):
    weights = np.array(weights)
    weights[place % len(weights)] += 1.0
    frequencies = in_slots(weights)
    assert frequencies.dtype == np.uint16
    assert frequencies.sum(dtype=np.int64) == 4096
    assert frequencies.min() >= 1
    shares = weights / weights.sum() * (4096 - len(weights))
    assert (np.abs(frequencies - 1 - shares) < 1.001).all()


def test_tables_of_gaussians_are_theirs(random):
    scales = Scales.gaussian()
    assert (scales.frequencies.sum(axis=2, dtype=np.int64) == 4096).all()
    for m in (5, 15, 25, 40):
        size = 0.12 * RATIO**m
        assert scale_of(np.array([size])) == [m]
        numbers = np.abs(random.normal(size=200_000)) * size
        for c in (0, 1):
            k = np.rint((numbers + c) / 2).astype(np.int64)
            symbols = np.minimum(k >> scales.shifts[m], 15)
            shares = np.bincount(symbols, minlength=16) / len(numbers)
            if size > 2:  # below, zero is favoured
                np.testing.assert_allclose(scales.frequencies[m, c] / 4096, shares, atol=0.006)


def test_scales_of_nothing_and_of_everything_are_numbers():
    assert (np.abs(scale_of(np.array([0.0, 1e300]))) <= 10_000).all()


def test_what_is_counted_changes_tables_as_much_as_there_is_of_it(random):
    begun = Scales.gaussian()
    shape = begun.frequencies.shape
    counts, sums = np.zeros(shape, np.int64), np.zeros((MOST_SCALES, 2, 4))
    numbers = np.zeros(sums.shape, np.int64)
    same = begun.fitted(counts, sums, numbers)
    assert (np.abs(same.frequencies.astype(int) - begun.frequencies) <= 16).all()
    assert (same.points == begun.points).all()
    counts[9, 1], sums[9, 1, 2], numbers[9, 1, 2] = 1_000_000, 2.5e6, 1_000_000
    fitted = begun.fitted(counts, sums, numbers)
    assert (np.abs(fitted.frequencies[9, 1].astype(int) - 256) <= 1).all()
    assert fitted.points[9, 1, 2] == pytest.approx(2.5, abs=2e-3)
    assert (fitted.points == fitted.points.astype(np.float16)).all()
    fitted.points[9, 1, 2] = begun.points[9, 1, 2]
    assert (fitted.points == begun.points).all()


def test_the_costs_of_sizes_are_the_means_of_both_quantizers_best(random):
    scales, lam = Scales.gaussian(), 0.3
    costs = scales.cost_of_sizes(lam, 20.0)
    assert costs.shape == (MOST_SCALES, 81)
    assert scales.cost_of_sizes(lam, np.inf).shape == (MOST_SCALES, 4_096)
    bits = -np.log2(scales.frequencies / 4096)
    for m, place in zip(random.integers(28, size=50), random.integers(60, size=50), strict=True):
        size, total = (place + 0.5) / 4, 0.0
        assert scales.shifts[m] == 0 or m > 20
        for c in (0, 1):
            best = np.inf
            for k in range(16 << scales.shifts[m]):
                symbol = k >> scales.shifts[m]
                if symbol > 14:
                    break
                value = scales.points[m, c, k] if k < 4 else 2 * k - c
                spent = bits[m, c, symbol] + scales.shifts[m] + (k > 0)
                best = min(best, (size - value) ** 2 + lam * spent)
            total += best / 2
        # The best of the nearest level, the one below and nothing: at times another is.
        assert costs[m, place] >= total - 1e-5
        assert costs[m, place] <= total + 0.2
