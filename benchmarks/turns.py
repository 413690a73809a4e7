"""Times of several works relative to a first one, which take turns."""

import statistics
import time
from collections.abc import Callable, Sequence

_LEAST_SECONDS = 0.01  # of one timing, so that the clock and a call's cost do not count


def relative_times(works: Sequence[Callable[[], object]], rounds: int = 15) -> list[float]:
    """Returns how long each of some works takes, relative to the first of them.

    In each round each work is timed once, so that what slows the machine down slows down all of
    them; work that is short is repeated within its timing.

    Args:
        works: What is timed.
        rounds: Number of rounds; one more comes before them and does not count.

    Returns:
        The medians over the rounds of each work's time over the first one's: 1 for the first.
    """
    repeats = [_repeats(work) for work in works]
    ratios: list[list[float]] = []
    for number in range(rounds + 1):
        seconds = [_seconds(*each) / each[1] for each in zip(works, repeats, strict=True)]
        if number:
            ratios.append([each / seconds[0] for each in seconds])
    return [statistics.median(each) for each in zip(*ratios, strict=True)]


def _repeats(work: Callable[[], object]) -> int:
    """Returns how often a work is done within one timing."""
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
