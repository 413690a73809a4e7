"""Ending a command on a signal: with one line, and status 128 plus the signal's number.

This file is imported and ``at_once`` called before all else, so that a signal finds it while the
rest is imported: hence the few imports.
"""

import atexit
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from nncompress.errors import SIGNALS, Interrupted

_AGAIN = 0.02  # seconds until a signal that came at a bad moment comes again


def at_once(program: str | None = None) -> None:
    """Makes signals end the process immediately, for as long as there is nothing to tidy up.

    Args:
        program: Name that the line begins with; by default the script's.
    """

    def end(number: int, frame: object) -> None:
        end_line(program, "interrupted")
        os._exit(128 + number)

    _handle(end)


def in_order() -> None:
    """Makes signals raise ``Interrupted``, so that unfinished work is tidied up.

    A module that is being imported is let finish before: what is imported may turn an exception
    into another, or drop it. Where Python drops one, in a destructor or a callback, the signal
    comes again.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _importing(frame) and hasattr(signal, "setitimer"):
            again(number)
        else:
            raise Interrupted(number)

    def again(number: int) -> None:
        signal.signal(signal.SIGALRM, lambda _, frame: interrupt(number, frame))
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)

    def dropped(what: "sys.UnraisableHookArgs") -> None:
        if isinstance(what.exc_value, Interrupted) and hasattr(signal, "setitimer"):
            again(what.exc_value.signal)
        else:
            sys.__unraisablehook__(what)

    sys.unraisablehook = dropped
    # When Python itself ends, it would leave signals to the system, which ends the process
    # without a line, although the command's status is known by then.
    atexit.register(_handle, signal.SIG_IGN)
    _handle(interrupt)


def end_line(program: str | None, line: str) -> None:
    """Prints the line that an interrupted command ends with."""
    program = program or os.path.basename(sys.argv[0])
    start = "\n" if os.isatty(2) else ""  # the end of the line with ^C on a terminal
    with suppress(OSError):  # nobody reads it any more
        os.write(2, f"{start}{program}: {line}\n".encode(errors="backslashreplace"))


def _handle(handler: object) -> None:
    """Sets a handler for the signals that are not ignored, as those of a background job are."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
