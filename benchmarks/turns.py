"""Relative times of several pieces of work, measured in turns."""

import statistics
import time
from collections.abc import Callable, Sequence

_LEAST_SECONDS = 0.01  # per timing, so that the clock and the cost of a call do not matter


def relative_times(works: Sequence[Callable[[], object]], rounds: int = 15) -> list[float]:
    """Returns the times of several pieces of work, relative to the first.

    Each is timed once per round, so that slowdowns of the machine affect all of them; short work
    is repeated within its timing.

    Args:
        works: The functions to time.
        rounds: Number of rounds; one more comes before them and does not count.

    Returns:
        The median over the rounds of each one's time divided by the first one's: 1 for the first.
    """
    repeats = [_repeats(work) for work in works]
    ratios: list[list[float]] = []
    for number in range(rounds + 1):
        seconds = [_seconds(*each) / each[1] for each in zip(works, repeats, strict=True)]
        if number:
            ratios.append([each / seconds[0] for each in seconds])
    return [statistics.median(each) for each in zip(*ratios, strict=True)]


def _repeats(work: Callable[[], object]) -> int:
    """Returns the number of times that a piece of work is repeated within one timing."""
    work()
    count = 1
    while _seconds(work, count) < _LEAST_SECONDS:
        count *= 2
    return count


def _seconds(work: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        work()
    return time.perf_counter() - started
