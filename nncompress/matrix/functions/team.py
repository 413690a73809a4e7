"""Threads that share a kernel's work when there is enough of it."""

import os
from collections.abc import Callable

import numpy as np

from nncompress.machine import Team, usable_cores

# Starting work in another thread takes about fifty microseconds; this many additions take longer.
_WORTHWHILE = 1 << 23
_NO_BARRIER = np.zeros(1, dtype=np.int64)
_teams: list[Team] = []

if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_teams.clear)


def run(kernel: Callable[..., None], additions: int, *arguments: object) -> None:
    """Calls a kernel ``(thread, threads, barrier, *arguments)``, in several threads if it pays.

    Args:
        kernel: A kernel whose result does not depend on the number of threads.
        additions: About how many numbers it adds up.
        arguments: Its other arguments.
    """
    if additions < _WORTHWHILE:
        kernel(0, 1, _NO_BARRIER, *arguments)
        return
    if not _teams:
        _teams.append(Team(usable_cores()))
    team = _teams[0]
    team.run(kernel, min(team.threads, additions // (_WORTHWHILE // 2)), *arguments)
