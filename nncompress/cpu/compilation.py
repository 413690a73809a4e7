"""Telling the user that kernels are being compiled, which takes seconds.

Numba reports each compilation, but not the loading of kernels that were kept. A command shows it
on its line of progress, whose clock stands still meanwhile. In Python, only training says so:
lookups are to be silent.
"""

from pathlib import Path

from nncompress.cpu import cache
from nncompress.missing import brought_by
from nncompress.progress import begin_compiling, end_compiling, tell_of_compiling

with brought_by("compress"):
    from numba.core import event


class _Listener(event.Listener):
    """Listens to Numba, which holds its lock while it compiles."""

    def __init__(self) -> None:
        self._depth = 0  # a kernel's own functions are compiled within it

    def on_start(self, event: event.Event) -> None:
        """Notes that a function is being compiled."""
        self._depth += 1
        if self._depth == 1:
            begin_compiling(is_kept=bool(cache.DIRECTORY))

    def on_end(self, event: event.Event) -> None:
        """Notes that it has been compiled, or that this has failed."""
        self._depth -= 1
        if self._depth == 0:
            end_compiling()


def watch() -> None:
    """Has compilations shown from now on."""
    event.register("numba:compile", _Listener())


def announce() -> None:
    """Tells the user about the delay if no kernels have been kept yet."""
    if cache.DIRECTORY and not any(Path(cache.DIRECTORY).rglob("*.nbi")):
        tell_of_compiling()
