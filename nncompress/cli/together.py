"""Running a command in many processes: one of them prints, and they end together."""

import argparse
import atexit
import difflib
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
    """A parser that prints in the first process alone, and its errors as JSON where asked for.

    For a mistyped command or option it names the one that may have been meant.
    """

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parses arguments, and refuses options that are not known."""
        found, rest = super().parse_known_args(args, namespace)
        unknown = next((word for word in rest if word.startswith("--") and len(word) > 2), None)
        if unknown is not None:
            name = unknown.partition("=")[0]
            options = [each for each in self._option_string_actions if each.startswith("--")]
            self.error(f"unknown option {name}{_did_you_mean(name, options)}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and where the arguments are explained; exits with status 2."""
        if launched_rank() == 0:
            tell_in_json(USAGE, message, 2)
            terminal.tell(self.prog, "error", message)
            print(f"see {self.prog} --help", file=sys.stderr)
        self.exit(2)

    def _check_value(self, action: argparse.Action, value: str) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            meant = _did_you_mean(value, list(action.choices), "; did you mean {!r}?")
            choices = meant or f"; wanted one of {', '.join(action.choices)}"
            raise argparse.ArgumentError(None, f"unknown command {value!r}{choices}")
        super()._check_value(action, value)

    def _print_message(self, message: str, file: object = None) -> None:
        if launched_rank() == 0:
            super()._print_message(message, file)


def _did_you_mean(name: str, names: list[str], form: str = "; did you mean {}?") -> str:
    """Returns the end of a message that names what may have been meant; empty for nothing."""
    # --recal means --target-recall rather than --recipe.
    whole = {name.replace("--target-", "--"): name for name in names} | {n: n for n in names}
    near = difflib.get_close_matches(name, whole, 1)
    return form.format(whole[near[0]]) if near else ""


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
