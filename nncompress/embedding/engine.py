"""The code that computes lookups: NumPy's at once, and compiled code where it pays.

Loading Numba takes most of a second, which is as long as NumPy's code takes for tens of thousands
of lookups. So NumPy's code begins; after half a second of work Numba's goes on, where Numba is
installed. Both give the same numbers, bit for bit; but for rows with a residual stage, whose
coordinates are the same and whose sums along the axes differ in their last bits.
"""

import os
import threading
import time
from types import ModuleType

import numpy as np

from nncompress.embedding import numpy_kernels
from nncompress.errors import InputError
from nncompress.machine import Team, usable_cores

ENGINES = ("auto", "numpy", "numba")
_PATIENCE = 0.5  # seconds
# What is handed out to threads: less than this takes no longer in one.
_ROWS_A_THREAD = 2_048
# What NumPy's code goes through at once: temporary arrays of this size stay in the cache.
_BLOCK_BYTES = 256 << 10
# The same in rows, of kernels that take a hundred times as long for a row: what is handed out to
# threads at least, and what NumPy's code goes through at once.
_SLOW_KERNELS = {"add_residuals": (32, 2_048), "read_blocks": (32, 2_048)}


class Engine:
    """Calls kernels, NumPy's or compiled ones."""

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
            InputError: The choice is another, or Numba is not installed.
        """
        if choice not in ENGINES:
            raise InputError(f"no engine named {choice!r}; wanted one of {', '.join(ENGINES)}")
        self._choice, self._spent, self._compiled = choice, 0.0, None
        if choice == "numba" and not self._load():
            raise InputError("Numba is not installed; install it with: pip install numba")

    @property
    def reads_halves(self) -> bool:
        """Whether rows can be decoded from float16 codewords, which is faster."""
        return self._compiled is not None and self._compiled.READS_HALVES

    def call(self, name: str, by_row: tuple[np.ndarray, ...], *shared: object) -> None:
        """Calls a kernel.

        Args:
            name: Its name; see ``numpy_kernels``.
            by_row: Its first arguments, which have an entry for each row.
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
        """Calls NumPy's kernel, and goes over to the compiled one when the time has come."""
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
        """Loads compiled kernels; tells whether that can be done."""
        with self._lock:
            if self._compiled is not None:
                return True
            try:
                from nncompress.cpu import lookup
            except ImportError:
                return False
            self._team = self._team or Team(usable_cores())
            self._compiled = lookup  # last: other threads use both from now on
        return True

    def _forget_threads(self) -> None:
        """Makes new threads in a forked process, which has none of its parent's."""
        self._lock = threading.Lock()
        if self._team is not None:
            self._team = Team(self._team.threads)


engine = Engine()
