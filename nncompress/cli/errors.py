"""Ending a command: a mistake or an interruption becomes one line and an exit status."""

import itertools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nncompress.cli import output_streams, signals, terminal
from nncompress.errors import Diverged, InputError, Interrupted, NotGoodEnough
from nncompress.formats.files import tidy_up
from nncompress.formats.strict_json import strict_json

USAGE = "UsageError"  # the kind of what the parser of arguments refuses


def run(main: Callable[[], object], program: str | None = None) -> None:
    """Runs a command line and exits with its status.

    Args:
        main: The command. A user's mistake (``InputError``, ``ImportError``, ``OSError``) and a
            lack of memory end it with status 2 and a line; training that diverges, and a result
            that is not good enough, with status 3; SIGINT with status 130, SIGTERM with 143 and
            SIGHUP with 129, and a line. With ``--json`` on the command line, an error is also
            printed as a JSON object to standard output. Warnings are a line each.
        program: Name that the lines begin with; by default the script's.
    """
    program = program or Path(sys.argv[0]).name

    def show(message: Warning | str, *where: object, **more: object) -> None:
        terminal.tell(program, "warning", " ".join(str(message).split()))

    warnings.showwarning = show
    output_streams.prepare()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread:
        signals.in_order()
    try:
        try:
            main()
        finally:
            _flush()
        if in_main_thread:
            signals.at_once(program)
    except (
        *(InputError, ImportError, OSError, MemoryError),
        *(Diverged, NotGoodEnough),
    ) as error:
        _tell(program, error)
        sys.exit(status_of(error))
    except KeyboardInterrupt as error:
        interrupted = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
        if in_main_thread:  # nothing is left to do in good order: another signal just ends it
            signals.at_once(program)
        # The interruption may have come between the making of a directory and the block that
        # would remove it, and holds on to whatever was under way.
        tidy_up()
        signals.end_line(program, str(interrupted))
        tell_in_json("Interrupted", str(interrupted), status_of(interrupted))
        # Python would wait for its threads, and those of a team may wait for this one's part.
        os._exit(128 + interrupted.signal)


def status_of(error: BaseException) -> int:
    """Returns the exit status for an error."""
    if isinstance(error, KeyboardInterrupt):
        return 128 + (error.signal if isinstance(error, Interrupted) else signal.SIGINT)
    if isinstance(error, (Diverged, NotGoodEnough)):
        return 3
    return 2 if isinstance(error, (InputError, ImportError, OSError, MemoryError)) else 1


def tell_in_json(kind: str, message: str, status: int) -> None:
    """Prints an error as JSON to standard output, if JSON was asked for on the command line.

    The parser may have refused the command line, so that it is looked for in the words themselves.

    Args:
        kind: The name of the exception in ``nncompress.errors`` or Python, or ``USAGE``.
        message: What the line on standard error says.
        status: The exit status.
    """
    options = list(itertools.takewhile(lambda word: word != "--", sys.argv[1:]))
    # The parser takes the beginning of an option for the option.
    if any(len(word) > 2 and "--json".startswith(word) for word in options):
        error = {"kind": kind, "message": message, "status": status}
        with suppress(OSError):  # what the error is about may be standard output itself
            print(strict_json({"error": error}), flush=True)


def _tell(program: str, error: Exception) -> None:
    """Prints an error as a line for each of its parts, and as JSON."""
    lines = getattr(error, "lines", None) or [str(error) or type(error).__name__]
    if isinstance(error, MemoryError):
        lines = [f"not enough memory: {error}"]
    lines = [" ".join(line.split()) for line in lines]
    for line in lines:
        terminal.tell(program, "error", line)
    if not getattr(error, "is_told", False):
        tell_in_json(type(error).__name__, "; ".join(lines), status_of(error))


def _flush() -> None:
    """Writes out what was printed.

    Raises:
        OutputError: It cannot be written.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
