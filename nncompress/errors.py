"""The errors that are the user's to mend, and the interruption of work by a signal."""

import signal

# The signals that end a command in good order. Windows has no SIGHUP.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class InputError(ValueError):
    """Input that cannot be used: the message says what was seen and what was wanted.

    The command lines print it as one line and exit with status 2.
    """


class FormatError(InputError):
    """A file that is not what it should be: foreign, cut short, altered, or of another version."""


class OutOfReach(InputError):
    """A target that nothing reaches: a size so small, or a quality so good."""


class OutputError(OSError):
    """A file that cannot be written: the message names it and says why.

    Args:
        message: The message.
        number: The operating system's number of the error, if it was one.
    """

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number


class Diverged(ArithmeticError):
    """Training whose loss or parameters are not finite any more.

    The command lines print it as one line and exit with status 3.

    Args:
        seen: What is not finite, and when.
        advice: What to do about it.
        kept: What there is to go on with; nothing by default.

    Attributes:
        seen: As given.
        advice: As given.
    """

    def __init__(self, seen: str, advice: str, kept: str = "") -> None:
        super().__init__("; ".join(filter(None, (seen, kept, advice))))
        self.seen = seen
        self.advice = advice


class NotGoodEnough(Exception):
    """A result that falls short of what is required of it, and has not been written.

    The command lines print it as one line and exit with status 3. The message tells each figure
    that falls short: what was seen, and what is wanted.
    """


class Interrupted(KeyboardInterrupt):
    """Work that a signal ended, in whatever state it was.

    As with Ctrl-C, whose exception it extends, no handler of ordinary exceptions sees it. The
    command lines print it as one line and exit with 128 and the signal's number.

    Args:
        number: The signal: ``signal.SIGINT``, ``signal.SIGTERM`` or ``signal.SIGHUP``.
        message: The line.

    Attributes:
        signal: The signal.
    """

    def __init__(self, number: int, message: str = "interrupted") -> None:
        super().__init__(message)
        self.signal = signal.Signals(number)


class TrainingInterrupted(Interrupted):
    """Training that a signal ended in good order, so that it can be continued."""
