"""Timing work on a GPU."""

import time
from collections.abc import Callable
from types import ModuleType

import numpy as np


def rate_of(make: Callable[[], int], synchronize: Callable[[], None], seconds: float) -> float:
    """Returns steps a second, doubling the number of calls until they take long enough.

    Launched work may take far longer than launching it, so the GPU is synchronized after a number
    of calls, not after a time.

    Args:
        make: A function that makes steps, and returns how many.
        synchronize: A function that waits for the GPU.
        seconds: The least time that the counted calls have to take.
    """
    calls = 1
    while True:
        synchronize()
        started = time.perf_counter()
        steps = sum(make() for _ in range(calls))
        synchronize()
        elapsed = time.perf_counter() - started
        if elapsed >= seconds:
            return steps / elapsed
        calls *= 2


def seconds_of(launch: Callable[[], None], xp: ModuleType, repeats: int) -> float:
    """Returns the median time that the GPU takes for launched work, in seconds.

    Args:
        launch: A function that launches the work.
        xp: CuPy.
        repeats: The number of measurements, after one that does not count.
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
