import numpy as np
import pytest

from nncompress.evaluate import bootstrap
from nncompress.evaluate.bootstrap import figures, mean_figure


def test_intervals_of_a_mean_are_those_of_scipys_bootstrap(random):
    stats = pytest.importorskip("scipy.stats")
    values = random.exponential(size=400)
    figure = mean_figure(values)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert figure.value == pytest.approx(values.mean())
    assert (figure.low, figure.high) == pytest.approx(tuple(theirs), abs=0.015)


@pytest.mark.parametrize("size", [200, 40_000])
def test_an_interval_is_as_wide_as_a_mean_of_so_many_varies(random, size):
    figure = mean_figure(random.normal(size=size))
    assert figure.low < figure.value < figure.high
    assert figure.high - figure.low == pytest.approx(2 * 1.96 / np.sqrt(size), rel=0.15)


def test_a_difference_is_measured_on_the_same_items(random):
    before = random.normal(size=300)
    after = before + 1

    def means(items):
        one, other = before[items].mean(axis=-1), after[items].mean(axis=-1)
        return np.stack([one, other, other - one])

    one, _, difference = figures(means, 300)
    assert one.high - one.low > 0.1
    assert (difference.low, difference.high) == pytest.approx((1, 1))


def test_figures_are_the_same_each_time_and_whatever_is_drawn_at_once(random, monkeypatch):
    values = random.normal(size=100)
    once = mean_figure(values)
    assert mean_figure(values) == once
    monkeypatch.setattr(bootstrap, "_NUMBERS_AT_ONCE", 1_000)
    assert mean_figure(values) == once


def test_a_single_item_tells_no_interval():
    figure = mean_figure(np.array([0.5]))
    assert figure.facts == {"value": 0.5, "low": 0.5, "high": 0.5}
