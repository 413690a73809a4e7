"""How long things take on a GPU."""

import time
from collections.abc import Callable
from types import ModuleType

import numpy as np


def rate_of(make: Callable[[], int], synchronize: Callable[[], None], seconds: float) -> float:
    """Returns steps a second, of twice as many calls each time until they last.

    What is launched may take far longer than launching it: so the GPU is waited for after a number
    of calls, not after a time.

    Args:
        make: Makes steps, and returns how many.
        synchronize: Waits for the GPU.
        seconds: How long the calls that count have to take at least.
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
