"""Bootstrap intervals for measurements.

Items (rows, pairs of sentences, stretches of text) are resampled with replacement, as many as
there are, and measured again; the interval covers the middle 95% of the results. Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (the percentile interval).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nncompress.sources.matrix import spaced_rows

RESAMPLES = 1_000
COVERAGE = 0.95
# If there are more items, only this many are resampled, and the interval is narrowed: the m out of
# n bootstrap of Bickel, Goetze and van Zwet, "Resampling Fewer Than n Observations", 1997.
MOST_ITEMS = 16_384
_NUMBERS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Figure:
    """A measured number and its interval.

    Attributes:
        value: The number.
        low: The lower end of the interval.
        high: The upper end.
    """

    value: float
    low: float
    high: float

    @property
    def facts(self) -> dict[str, float]:
        """The attributes by name, rounded to five digits."""
        return {name: float(f"{y:.5g}") for name, y in vars(self).items()}


def figures(statistics: Callable[[np.ndarray], np.ndarray], num_items: int) -> list[Figure]:
    """Measures items, with intervals for the variation among other items like them.

    All numbers are measured on the same resampled items, so that the interval of a difference is
    that of paired measurements. The resampling is deterministic.

    Args:
        statistics: Takes the numbers of items, int64 ``(B, n)``, and returns k statistics of each
            of the B resamples, ``(k, B)``.
        num_items: The number of items, at least 1.

    Returns:
        The k figures.
    """
    values = statistics(np.arange(num_items)[None])[:, 0].astype(np.float64)
    items = spaced_rows(MOST_ITEMS, num_items)
    size = len(items)
    centre = values if size == num_items else statistics(items[None])[:, 0]
    random = np.random.default_rng(0)
    at_once = max(1, _NUMBERS_AT_ONCE // size)
    drawn = [
        statistics(items[random.integers(size, size=(min(at_once, RESAMPLES - done), size))])
        for done in range(0, RESAMPLES, at_once)
    ]
    ends = (1 - COVERAGE) / 2, (1 + COVERAGE) / 2
    low, high = np.quantile(np.concatenate(drawn, axis=1), ends, axis=1)
    narrower = math.sqrt(size / num_items)
    low, high = (values + (end - centre) * narrower for end in (low, high))
    return [Figure(*map(float, each)) for each in zip(values, low, high, strict=True)]


def mean_figure(values: np.ndarray) -> Figure:
    """Measures a mean; the items are ``values``, ``(n,)``."""
    (figure,) = figures(lambda items: values[items].mean(axis=-1)[None], len(values))
    return figure
