"""Errors that the user can fix, and interruption by a signal."""

import signal

# The signals that end a command cleanly. Windows has no SIGHUP.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class InputError(ValueError):
    """Input that cannot be used. The message says what was seen and what was wanted.

    The command lines print it as one line and exit with status 2.
    """


class FormatError(InputError):
    """A file of another kind or version, or one that is truncated or altered."""


class OutOfReach(InputError):
    """A target that cannot be reached: too small a size, or too high a quality."""


class OutputError(OSError):
    """A file that cannot be written. The message names it and says why.

    Args:
        message: The message.
        number: The operating system's error number, if there is one.
    """

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number


class Diverged(ArithmeticError):
    """Training whose loss or parameters are no longer finite.

    The command lines print it as one line and exit with status 3.

    Args:
        seen: The quantity that is not finite, and when.
        advice: Advice on what to do about it.
        kept: The state that training can be continued from; empty by default.

    Attributes:
        seen: As given.
        advice: As given.
    """

    def __init__(self, seen: str, advice: str, kept: str = "") -> None:
        super().__init__("; ".join(filter(None, (seen, kept, advice))))
        self.seen = seen
        self.advice = advice


class NotGoodEnough(Exception):
    """A result that falls short of its requirements, and has not been written.

    The command lines print it as one line and exit with status 3. The message lists each figure
    that falls short: what was seen, and what was wanted.
    """


class Interrupted(KeyboardInterrupt):
    """Work ended by a signal, in whatever state it was.

    It extends the exception of Ctrl-C, so handlers of ordinary exceptions do not catch it. The
    command lines print it as one line and exit with status 128 plus the signal's number.

    Args:
        number: The signal: ``signal.SIGINT``, ``signal.SIGTERM`` or ``signal.SIGHUP``.
        message: The line to print.

    Attributes:
        signal: The signal.
    """

    def __init__(self, number: int, message: str = "interrupted") -> None:
        super().__init__(message)
        self.signal = signal.Signals(number)


class TrainingInterrupted(Interrupted):
    """Training ended cleanly by a signal, so that it can be continued."""
