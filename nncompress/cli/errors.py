"""The end of a command: a user's mistake and an interruption as one line and an exit status."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from nncompress.cli import signals
from nncompress.errors import Diverged, InputError, Interrupted, NotGoodEnough, OutputError
from nncompress.formats.files import tidy_up

_BROKEN_PIPE = 141  # as a shell shows a process that SIGPIPE ended


def run(main: Callable[[], object], program: str | None = None) -> None:
    """Runs a command line and exits with its status.

    Args:
        main: The command. A user's mistake (``InputError``, ``ImportError``, ``OSError``) and a
            lack of memory end it with status 2 and one line; training that diverges, and a result
            that is not good enough, with status 3; SIGINT with status 130, SIGTERM with 143 and
            SIGHUP with 129, and one line. Where nobody reads what it prints any more, it ends with
            status 141 and no line. Warnings are a line each.
        program: Name that the lines begin with; by default the script's.
    """
    program = program or Path(sys.argv[0]).name

    def show(message: Warning | str, *where: object, **more: object) -> None:
        print(f"{program}: warning: {' '.join(str(message).split())}", file=sys.stderr)

    warnings.showwarning = show
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it is closed
            stream.reconfigure(errors="backslashreplace")  # words that a terminal cannot show
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
    except BrokenPipeError as error:
        sys.exit(status_of(error))
    except (InputError, ImportError, OSError) as error:
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(status_of(error))
    except (Diverged, NotGoodEnough) as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        sys.exit(status_of(error))
    except MemoryError as error:
        print(f"{program}: error: not enough memory: {error}", file=sys.stderr)
        sys.exit(status_of(error))
    except KeyboardInterrupt as error:
        interrupted = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
        if in_main_thread:  # nothing is left to do in good order: another signal just ends it
            signals.at_once(program)
        # The interruption may have come between the making of a directory and the block that
        # would remove it, and holds on to whatever was under way.
        tidy_up()
        signals.end_line(program, str(interrupted))
        # Python would wait for its threads, and those of a team may wait for this one's part.
        os._exit(128 + interrupted.signal)


def status_of(error: BaseException) -> int:
    """Returns the status that an error ends a command with."""
    if isinstance(error, KeyboardInterrupt):
        return 128 + (error.signal if isinstance(error, Interrupted) else signal.SIGINT)
    if isinstance(error, BrokenPipeError):
        return _BROKEN_PIPE
    if isinstance(error, (Diverged, NotGoodEnough)):
        return 3
    return 2 if isinstance(error, (InputError, ImportError, OSError, MemoryError)) else 1


def _flush() -> None:
    """Writes out what was printed.

    Raises:
        BrokenPipeError: Nobody reads it any more.
        OutputError: It cannot be written.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own flush
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputError(f"what is printed cannot be written: {error.strerror}") from None
