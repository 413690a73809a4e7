"""The machine to compute on: the CPU with a team of threads, or a GPU."""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from nncompress.errors import InputError

if TYPE_CHECKING:
    from chainer.backend import Device

    from nncompress.gpu.runtime import Runtime

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
_CACHED = ("active_file", "inactive_file")  # the kernel reclaims these when it needs to


class Machine:
    """The place to compute, created once for a job and passed on.

    Args:
        gpu: Number of the GPU; -1 is the CPU. The GPU becomes the current one.
        threads: Threads to compute with on the CPU; None for one per usable core. No result
            depends on it.

    Attributes:
        gpu: Number of the GPU, or -1.
        threads: Number of threads.
        runtime: The GPU's CUDA runtime; None on a CPU.

    Raises:
        InputError: A number is out of range, CuPy does not work, or there is no such
            GPU.
    """

    def __init__(self, gpu: int = -1, threads: int | None = None) -> None:
        if gpu < -1:
            raise InputError(f"the GPU's number is {gpu}; wanted 0 or more, or -1 for the CPU")
        self.gpu = gpu
        self.threads = resolve_threads(threads)
        self.runtime: Runtime | None = None
        if gpu >= 0:
            from nncompress.gpu.runtime import open_gpu

            self.runtime = open_gpu(gpu)

    @property
    def xp(self) -> ModuleType:
        """The array library: NumPy, or CuPy for a GPU."""
        return np if self.runtime is None else self.runtime.xp

    @cached_property
    def team(self) -> "Team":
        """The CPU's threads."""
        return Team(self.threads)

    @cached_property
    def device(self) -> "Device":
        """The same place as a Chainer device.

        Raises:
            InputError: Chainer cannot use CuPy.
        """
        from nncompress.chainer_support.compatibility import chainer

        if self.gpu < 0:
            return chainer.get_device("@numpy")
        cuda = chainer.backends.cuda
        if not cuda.available:
            from nncompress.gpu.runtime import first_reason

            raise InputError(
                f"GPU {self.gpu} was requested, but Chainer cannot use CuPy "
                f"({first_reason(cuda._resolution_error)}); use the CPU (-g -1; in Python, -1)"
            )
        return chainer.get_device(f"@cupy:{self.gpu}")

    def use(self) -> None:
        """Makes the GPU the current one, if there is one."""
        if self.gpu >= 0:
            self.device.use()


def usable_cores() -> int:
    """Returns the number of cores that this process may use, by its affinity and cgroup quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cgroup_quota()
    return max(1, cores or 1) if quota is None else max(1, min(cores or 1, int(quota + 0.5)))


def resolve_threads(threads: int | None) -> int:
    """Returns the number of threads to use.

    Args:
        threads: The number that the user asks for; None for one per usable core.

    Raises:
        InputError: The number is not positive.
    """
    if threads is None:
        return usable_cores()
    if threads < 1:
        raise InputError(f"the number of threads is {threads}; wanted at least 1")
    return threads


def free_memory() -> int | None:
    """Returns the bytes of memory that are still available; None if unknown.

    That is the smaller of the system's free memory and what is left of the cgroup's limit, each
    including file caches that can be reclaimed.
    """
    return _least(_in_system("MemAvailable"), _left_in_cgroup())


def total_memory() -> int | None:
    """Returns the total bytes of memory, or the cgroup's limit if lower; None if unknown."""
    return _least(_in_system("MemTotal"), _limit_of_cgroup())


def _least(*counts: int | None) -> int | None:
    return min((count for count in counts if count is not None), default=None)


def _in_system(name: str) -> int | None:
    try:
        lines = _MEMORY.read_text(encoding="utf-8").splitlines()
        (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
        return int(kilobytes) << 10
    except (OSError, ValueError):
        return None


def _files_of_cgroup() -> tuple[Path, Path]:
    """Returns the files with the cgroup's memory limit and usage."""
    if (_CGROUP / "memory.max").is_file():  # version 2
        return _CGROUP / "memory.max", _CGROUP / "memory.current"
    directory = _CGROUP / "memory"  # version 1
    return directory / "memory.limit_in_bytes", directory / "memory.usage_in_bytes"


def _limit_of_cgroup() -> int | None:
    try:
        return int(_files_of_cgroup()[0].read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # no limit, which version 2 calls "max"


def _left_in_cgroup() -> int | None:
    limit_file, used_file = _files_of_cgroup()
    directory = limit_file.parent
    try:
        limit, used = (int(path.read_text(encoding="utf-8")) for path in (limit_file, used_file))
        text = (directory / "memory.stat").read_text(encoding="utf-8")
        fields = (line.split() for line in text.splitlines())
        cached = sum(int(count) for name, count in fields if name in _CACHED)
    except (OSError, ValueError):
        return None  # no limit, which version 2 calls "max"
    return max(0, limit - used + cached)


def _cgroup_quota() -> float | None:
    try:
        fields = (_CGROUP / "cpu.max").read_text(encoding="utf-8").split()  # cgroup version 2
    except OSError:
        try:
            cpu = _CGROUP / "cpu"  # version 1
            fields = [
                (cpu / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")
                for name in ("quota", "period")
            ]
        except OSError:
            return None
    try:
        quota, period = map(float, fields)
    except ValueError:
        return None  # "max": no quota
    return quota / period if quota > 0 and period > 0 else None


# Offsets of a barrier's parts in bytes: a counter of threads that have arrived, one of threads
# that sleep, and POSIX's mutex and condition, each on cache lines of its own.
BARRIER_SLEEPERS, BARRIER_MUTEX, BARRIER_CONDITION, _BARRIER_BYTES = 64, 128, 256, 384


def new_barrier() -> np.ndarray:
    """Returns a new barrier for ``cpu.barrier``, int64 ``(48,)``."""
    barrier = np.zeros(_BARRIER_BYTES // 8, np.int64)
    if os.name == "posix":
        library = ctypes.CDLL(None)
        library.pthread_mutex_init(ctypes.c_void_p(barrier.ctypes.data + BARRIER_MUTEX), None)
        library.pthread_cond_init(ctypes.c_void_p(barrier.ctypes.data + BARRIER_CONDITION), None)
    return barrier


class Team:
    """Threads that run one compiled function together.

    One of them leads. The calling thread only waits: if it took part and a signal ended it, the
    others would wait for it at a barrier forever.

    Args:
        threads: Size of the team.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._barrier = new_barrier()
        self._lead = ThreadPoolExecutor(1, thread_name_prefix="nncompress")
        self._pool = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="nncompress")

    def __reduce__(self) -> tuple[type["Team"], tuple[int]]:
        """Pickles the size only: a copy makes its own threads."""
        return Team, (self.threads,)

    def run(self, function: Callable[..., None], threads: int, *arguments: object) -> None:
        """Calls ``function(thread, threads, barrier, *arguments)`` in threads of the team.

        Args:
            function: A function compiled to run without the interpreter's lock.
            threads: Number of the team's threads that take part.
            arguments: Its further arguments.
        """
        if threads == 1:
            function(0, 1, self._barrier, *arguments)
        else:
            self._lead.submit(self._run_together, function, threads, *arguments).result()

    def _run_together(
        self, function: Callable[..., None], threads: int, *arguments: object
    ) -> None:
        self._barrier[0] = 0
        others = [
            self._pool.submit(function, thread, threads, self._barrier, *arguments)
            for thread in range(1, threads)
        ]
        function(0, threads, self._barrier, *arguments)
        for other in others:
            other.result()
