"""Running a command in many processes: one of them prints, and they end together."""

import argparse
import atexit
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from nncompress.cli import terminal
from nncompress.cli.errors import USAGE, status_of, tell_in_json
from nncompress.errors import InputError, TrainingInterrupted
from nncompress.training.launched import launched_rank
from nncompress.version import __version__

if TYPE_CHECKING:
    from nncompress.training.processes import Processes

# How long a process that has failed waits for the others to fail too, in seconds. Their failing
# differs by how long it takes to find a mistake, not by the work that was done.
_PATIENCE = 2.0


class Parser(argparse.ArgumentParser):
    """A parser that prints in the first process alone, and its errors as JSON where asked for."""

    def error(self, message: str) -> NoReturn:
        """Prints the usage and what is wrong, and exits with status 2."""
        if launched_rank() == 0:
            tell_in_json(USAGE, message, 2)
            self.print_usage(sys.stderr)
            terminal.tell(self.prog, "error", message)
        self.exit(2)

    def _print_message(self, message: str, file: object = None) -> None:
        if launched_rank() == 0:
            super()._print_message(message, file)


def add_version(parser: Parser) -> None:
    """Adds the flag that prints the program's name and the package's version."""
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s (chainer-nncompress) {__version__}",
        help="print the version and exit",
    )  # fmt: skip


def open_processes(communicator: str | None) -> "Processes":
    """Finds the processes of the command.

    Args:
        communicator: Name of the communicator that is asked for, or None.

    Raises:
        InputError: They cannot work together; in the first process alone.
    """
    try:
        from nncompress.training import processes

        return processes.open_processes(communicator)
    except (InputError, ImportError) as error:
        if launched_rank() > 0:
            raise SystemExit(status_of(error)) from None
        raise


@contextmanager
def one_speaks(processes: "Processes") -> Iterator[None]:
    """Prints what the block prints once, and ends all processes when one of them fails.

    Where all fail, as with a user's mistake that all of them see, the first one that has a reason
    of its own tells it, and they end in good order. Where others are still at work after two
    seconds, the process tells its own reason and ends them all.
    """
    if processes.size == 1:
        yield
        return
    try:
        if processes.is_first:
            yield
        else:
            with (
                Path(os.devnull).open("w", encoding="utf-8") as nowhere,
                redirect_stdout(nowhere),
                redirect_stderr(nowhere),
            ):
                yield
    except BaseException as error:
        _end(processes, error)
        raise


def _end(processes: "Processes", error: BaseException) -> None:
    """Ends the process, or returns if it is the one that reports the error."""
    from nncompress.training.processes import EndedElsewhereError

    is_elsewhere = isinstance(error, EndedElsewhereError)
    status = status_of(error)
    statuses = processes.gather_ends(0 if is_elsewhere else status, _PATIENCE)
    if statuses is None:
        atexit.register(processes.abort, status)
        if is_elsewhere:
            raise SystemExit(status) from None
        return
    speaker = next(rank for rank, each in enumerate(statuses) if each)
    if isinstance(error, TrainingInterrupted):
        processes.leave()  # or the first to end would have the launcher kill the others
    if processes.rank == speaker:
        return
    if isinstance(error, KeyboardInterrupt) and not isinstance(error, TrainingInterrupted):
        _await_the_end(statuses[speaker])
    raise SystemExit(statuses[speaker]) from None


def _await_the_end(status: int) -> NoReturn:
    """Waits until the process that reports the error ends, which ends this one."""
    time.sleep(_PATIENCE)
    os._exit(status)
