"""Which code computes lookups: NumPy's at once, and compiled code where it pays.

Loading Numba takes most of a second, which is as long as NumPy's code takes for tens of thousands
of lookups. So NumPy's code begins; after half a second of work Numba's goes on, where Numba is
installed. Both give the same numbers, bit for bit.
"""

import time
from types import ModuleType

import numpy as np

from nncompress.embedding import numpy_kernels
from nncompress.errors import InputError
from nncompress.threads import Team, usable_cores

ENGINES = ("auto", "numpy", "numba")
_PATIENCE = 0.5  # seconds
# What is handed out to threads: less than this takes no longer in one.
_ROWS_A_THREAD = 4_096


class Engine:
    """Calls kernels, NumPy's or compiled ones."""

    def __init__(self) -> None:
        self._choice = "auto"
        self._spent = 0.0
        self._compiled: ModuleType | None = None
        self._team: Team | None = None
        self._no_barrier = np.zeros(1, dtype=np.int64)

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

    def call(self, name: str, num_rows: int, *arguments: object) -> None:
        """Calls a kernel.

        Args:
            name: Its name.
            num_rows: How many rows it goes through.
            arguments: Passed on; see ``numpy_kernels``.
        """
        if self._compiled is not None:
            kernel = getattr(self._compiled, name)
            if num_rows < 2 * _ROWS_A_THREAD or self._team.threads == 1:
                kernel(0, 1, self._no_barrier, *arguments)
            else:
                threads = min(self._team.threads, num_rows // _ROWS_A_THREAD)
                self._team.run(kernel, threads, *arguments)
            return
        started = time.perf_counter()
        getattr(numpy_kernels, name)(*arguments)
        self._spent += time.perf_counter() - started
        if self._choice == "auto" and self._spent > _PATIENCE and not self._load():
            self._choice = "numpy"

    def _load(self) -> bool:
        """Loads compiled kernels; tells whether that can be done."""
        try:
            from nncompress.kernels import lookup
        except ImportError:
            return False
        self._compiled = lookup
        self._team = self._team or Team(usable_cores())
        return True


engine = Engine()
