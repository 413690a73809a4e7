"""A barrier between the threads of a team: they wait for each other, briefly awake, then asleep.

Usually the last one comes within microseconds, for there are no more threads than cores. But it
may share its core with somebody else, and be set aside for milliseconds: then a core whose thread
sleeps is free, and the system moves what waits elsewhere to it.
"""

import sys

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from nncompress.cpu import cache
from nncompress.machine import BARRIER_CONDITION, BARRIER_MUTEX, BARRIER_SLEEPERS

# Looks at the barrier before a thread falls asleep: some tens of microseconds.
_LOOKS = 20_000


@intrinsic
def _atomic_add(typingctx, pointer, value):
    """Adds to an int64 in memory and returns what it held."""

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
# LLVM finds them among what the process has loaded: POSIX's in libc, and Windows' in kernel32,
# which every process there has. Windows' has never been tested.
if _SLEEPS:
    _lock = types.ExternalFunction("pthread_mutex_lock", types.int32(types.int64))
    _unlock = types.ExternalFunction("pthread_mutex_unlock", types.int32(types.int64))
    _sleep = types.ExternalFunction("pthread_cond_wait", types.int32(types.int64, types.int64))
    _wake_all = types.ExternalFunction("pthread_cond_broadcast", types.int32(types.int64))
else:
    _yield_processor = types.ExternalFunction("SwitchToThread", types.int32())


@njit(nogil=True)
def _wait_asleep(barrier, wanted):
    """Waits until as many have come as are wanted."""
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
    """Wakes those who sleep. Who falls asleep meanwhile sees before that all have come."""
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
