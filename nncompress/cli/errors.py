"""The end of a command: a user's mistake and an interruption as one line and an exit status."""

import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from nncompress.errors import Diverged, InputError, Interrupted


def run(main: Callable[[], object], program: str | None = None) -> None:
    """Runs a command line and exits with its status.

    Args:
        main: The command. A user's mistake (``InputError``, ``ImportError``, ``OSError``) and a
            lack of memory end it with status 2 and one line; training that diverges with status
            3; SIGINT with status 130 and SIGTERM with 143, and one line. Warnings are a line each.
        program: Name that the lines begin with; by default the script's.
    """
    program = program or Path(sys.argv[0]).name

    def show(message: Warning | str, *where: object, **more: object) -> None:
        print(f"{program}: warning: {' '.join(str(message).split())}", file=sys.stderr)

    warnings.showwarning = show
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # words that a terminal cannot show
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        main()
    except (InputError, ImportError, OSError) as error:
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except Diverged as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        sys.exit(3)
    except MemoryError as error:
        print(f"{program}: error: not enough memory: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        interrupted = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
        if in_main_thread:  # nothing is left to do in good order: another signal just ends it
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
        line_end = "\n" if sys.stderr.isatty() else ""  # that of the ^C on a terminal
        print(f"{line_end}{program}: {interrupted}", file=sys.stderr)
        sys.exit(128 + interrupted.signal)


def _terminate(number: int, frame: object) -> None:
    raise Interrupted(number)
