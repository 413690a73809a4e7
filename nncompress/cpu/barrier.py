"""A barrier between the threads of a team: they wait for each other, first spinning, then asleep.

Usually the last thread arrives within microseconds, as there are no more threads than cores. But
its core may be shared with another process, which can delay it for milliseconds: then a core whose
thread sleeps is free, and the system moves the delayed thread there.
"""

import sys

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from nncompress.cpu import cache
from nncompress.machine import BARRIER_CONDITION, BARRIER_MUTEX, BARRIER_SLEEPERS

# Polls of the barrier before a thread falls asleep: some tens of microseconds.
_LOOKS = 20_000


@intrinsic
def _atomic_add(typingctx, pointer, value):
    """Adds to an int64 in memory and returns its previous value."""

    def codegen(context, builder, signature, arguments):
        pointer, value = arguments
        target = builder.inttoptr(pointer, ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", target, value, "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _atomic_load(typingctx, pointer):
    """Reads an int64 that other threads write."""

    def codegen(context, builder, signature, arguments):
        target = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(target, "seq_cst", 8)

    return types.int64(types.int64), codegen


_SLEEPS = sys.platform != "win32"
# LLVM finds them in the libraries that the process has loaded: libc on POSIX, and kernel32, which
# every process has, on Windows. The latter has never been tested.
if _SLEEPS:
    _lock = types.ExternalFunction("pthread_mutex_lock", types.int32(types.int64))
    _unlock = types.ExternalFunction("pthread_mutex_unlock", types.int32(types.int64))
    _sleep = types.ExternalFunction("pthread_cond_wait", types.int32(types.int64, types.int64))
    _wake_all = types.ExternalFunction("pthread_cond_broadcast", types.int32(types.int64))
else:
    _yield_processor = types.ExternalFunction("SwitchToThread", types.int32())


@njit(nogil=True)
def _wait_asleep(barrier, wanted):
    """Waits, asleep, until the wanted number of threads has arrived."""
    if not _SLEEPS:
        while _atomic_load(barrier) < wanted:
            _yield_processor()
        return
    _atomic_add(barrier + BARRIER_SLEEPERS, 1)
    _lock(barrier + BARRIER_MUTEX)
    while _atomic_load(barrier) < wanted:
        _sleep(barrier + BARRIER_CONDITION, barrier + BARRIER_MUTEX)
    _unlock(barrier + BARRIER_MUTEX)
    _atomic_add(barrier + BARRIER_SLEEPERS, -1)


@njit(nogil=True)
def _wake(barrier):
    """Wakes sleeping threads. A thread checks whether all have arrived before it falls asleep."""
    if _SLEEPS and _atomic_load(barrier + BARRIER_SLEEPERS) > 0:
        _lock(barrier + BARRIER_MUTEX)
        _wake_all(barrier + BARRIER_CONDITION)
        _unlock(barrier + BARRIER_MUTEX)


@njit(nogil=True, cache=bool(cache.DIRECTORY))
def wait_for_all(barrier, passed, threads):
    """Waits until every thread of the team is here.

    Args:
        barrier: The team's barrier, as ``machine.new_barrier`` makes it.
        passed: Number of barriers that this thread has passed.
        threads: Size of the team.

    Returns:
        ``passed + 1``.
    """
    if threads > 1:
        place = np.int64(barrier.ctypes.data)
        wanted = threads * (passed + 1)
        if _atomic_add(place, 1) + 1 == wanted:
            _wake(place)
        else:
            looks = 0
            while _atomic_load(place) < wanted:
                looks += 1
                if looks > _LOOKS:
                    _wait_asleep(place, wanted)
    return passed + 1
