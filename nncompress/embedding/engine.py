"""The code that computes lookups: NumPy at first, and compiled code where it pays off.

Loading Numba takes most of a second, as long as tens of thousands of lookups take with NumPy. So
NumPy's code begins, and after half a second of work Numba's takes over, where Numba is installed.
Both give the same numbers, bit for bit, except for rows with a residual stage: their coordinates
are the same, but their sums along the axes differ in the last bits.
"""

import os
import threading
import time
from types import ModuleType

import numpy as np

from nncompress.embedding import numpy_kernels
from nncompress.errors import InputError
from nncompress.machine import Team, usable_cores
from nncompress.missing import MissingLibraryError, missing_message

ENGINES = ("auto", "numpy", "numba")
_PATIENCE = 0.5  # seconds
# The smallest piece of work for a thread: less than this takes no longer in one thread.
_ROWS_A_THREAD = 2_048
# The block that NumPy's code works on: temporary arrays of this size stay in the cache.
_BLOCK_BYTES = 256 << 10
# The same two numbers, in rows, for kernels that take a hundred times as long per row.
_SLOW_KERNELS = {"add_residuals": (32, 2_048), "read_blocks": (32, 2_048)}


class Engine:
    """Calls kernels, in NumPy or compiled."""

    def __init__(self) -> None:
        self._choice = "auto"
        self._spent = 0.0
        self._compiled: ModuleType | None = None
        self._team: Team | None = None
        self._no_barrier = np.zeros(1, dtype=np.int64)
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_threads)

    def use(self, choice: str) -> None:
        """Fixes the choice: ``"numpy"``, ``"numba"``, or ``"auto"``, the default.

        Raises:
            InputError: The choice is unknown, or Numba is not installed.
        """
        if choice not in ENGINES:
            raise InputError(f"no engine named {choice!r}; wanted one of {', '.join(ENGINES)}")
        self._choice, self._spent, self._compiled = choice, 0.0, None
        if choice == "numba" and not self._load():
            raise MissingLibraryError(missing_message("Numba", "compress"), name="numba")

    @property
    def reads_halves(self) -> bool:
        """Whether rows can be decoded from float16 codewords, which is faster."""
        return self._compiled is not None and self._compiled.READS_HALVES

    def call(self, name: str, by_row: tuple[np.ndarray, ...], *shared: object) -> None:
        """Calls a kernel.

        Args:
            name: Its name; see ``numpy_kernels``.
            by_row: Its first arguments, arrays with an entry for each row.
            shared: Its other arguments.
        """
        num_rows = len(by_row[0])
        if self._compiled is None or self._team is None:
            self._call_numpy(name, by_row, shared)
            return
        kernel = getattr(self._compiled, name)
        least, _ = _SLOW_KERNELS.get(name, (_ROWS_A_THREAD, 0))
        threads = min(self._team.threads, num_rows // least)
        if threads < 2:
            kernel(0, 1, self._no_barrier, *by_row, *shared)
        else:
            self._team.run(kernel, threads, *by_row, *shared)

    def _call_numpy(self, name: str, by_row: tuple[np.ndarray, ...], shared: tuple) -> None:
        """Calls NumPy's kernel, and switches to the compiled one once enough time has passed."""
        kernel = getattr(numpy_kernels, name)
        num_rows = len(by_row[0])
        step = 1
        if name in _SLOW_KERNELS:
            _, step = _SLOW_KERNELS[name]
        elif num_rows:
            step = max(1, _BLOCK_BYTES // max(array[:1].nbytes for array in by_row))
        for first in range(0, num_rows, step):
            block = tuple(array[first : first + step] for array in by_row)
            started = time.perf_counter()
            kernel(*block, *shared)
            self._spent += time.perf_counter() - started
            if self._choice == "auto" and self._spent > _PATIENCE:
                if self._load():
                    done = first + step
                    self.call(name, tuple(array[done:] for array in by_row), *shared)
                    return
                self._choice = "numpy"

    def _load(self) -> bool:
        """Loads the compiled kernels; returns whether that succeeded."""
        with self._lock:
            if self._compiled is not None:
                return True
            try:
                from nncompress.cpu import lookup
            except ImportError:
                return False
            self._team = self._team or Team(usable_cores())
            self._compiled = lookup  # last: from now on, other threads use both
        return True

    def _forget_threads(self) -> None:
        """Makes new threads in a forked process, which does not inherit its parent's."""
        self._lock = threading.Lock()
        if self._team is not None:
            self._team = Team(self._team.threads)


engine = Engine()
