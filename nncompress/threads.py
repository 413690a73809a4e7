"""How many threads to use, and a team of them that runs one compiled function together."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nncompress.errors import InputError

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Returns how many cores this process may use: by affinity, and by its cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cgroup_quota()
    return max(1, cores or 1) if quota is None else max(1, min(cores or 1, int(quota + 0.5)))


def resolve_threads(threads: int | None) -> int:
    """Returns the number of threads to use.

    Args:
        threads: What the user asks for; None for as many as there are usable cores.

    Raises:
        InputError: The number is not positive.
    """
    if threads is None:
        return usable_cores()
    if threads < 1:
        raise InputError(f"the number of threads is {threads}; wanted at least 1")
    return threads


def _cgroup_quota() -> float | None:
    try:
        fields = (_CGROUP / "cpu.max").read_text().split()  # cgroup version 2
    except OSError:
        try:
            cpu = _CGROUP / "cpu"  # version 1
            fields = [(cpu / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        except OSError:
            return None
    try:
        quota, period = map(float, fields)
    except ValueError:
        return None  # "max": no quota
    return quota / period if quota > 0 and period > 0 else None


class Team:
    """Threads that run one compiled function together.

    Args:
        threads: Size of the team, the calling thread included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._barrier = np.zeros(1, dtype=np.int64)
        self._pool = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="nncompress")

    def run(self, function: Callable[..., None], threads: int, *arguments: object) -> None:
        """Calls ``function(thread, threads, barrier, *arguments)`` in threads of the team.

        Args:
            function: Compiled without the interpreter's lock.
            threads: How many of the team take part.
            arguments: Passed on.
        """
        self._barrier[0] = 0
        others = [
            self._pool.submit(function, thread, threads, self._barrier, *arguments)
            for thread in range(1, threads)
        ]
        function(0, threads, self._barrier, *arguments)
        for other in others:
            other.result()
