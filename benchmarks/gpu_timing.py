"""How long things take on a GPU."""

import time
from collections.abc import Callable
from types import ModuleType

import numpy as np

_STEPS = 100_000


def rate_of(make: Callable[[], int], synchronize: Callable[[], None], seconds: float) -> float:
    """Returns steps a second: those of some seconds, after as many that do not count.

    Args:
        make: Makes steps, and returns how many.
        synchronize: Waits for the GPU.
        seconds: How long.
    """
    for _ in range(2):
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds and steps <= _STEPS:
            steps += make()
        synchronize()
        elapsed = time.perf_counter() - started
    return steps / elapsed


def seconds_of(launch: Callable[[], None], xp: ModuleType, repeats: int) -> float:
    """Returns the median of the seconds that the GPU takes for what is launched.

    Args:
        launch: Launches it.
        xp: CuPy.
        repeats: How many times to measure, after once that does not count.
    """
    begin, end = xp.cuda.Event(), xp.cuda.Event()
    launch()
    found = []
    for _ in range(repeats):
        begin.record()
        launch()
        end.record()
        end.synchronize()
        found.append(xp.cuda.get_elapsed_time(begin, end) / 1e3)
    return float(np.median(found))
