"""Standard output and standard error: UTF-8 outside of terminals, and quiet once nobody reads."""

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any

from nncompress.errors import OutputError

_ERRORS = "nncompress-shown"


def prepare() -> None:
    """Sets up the streams that a command prints to.

    A terminal keeps its encoding, and what it cannot show is escaped. Pipes and files get UTF-8
    whatever the locale, unless ``PYTHONIOENCODING`` names another encoding. Where nobody reads a
    pipe any more, as after ``| head``, the command goes on and what it prints goes nowhere.
    """
    codecs.register_error(_ERRORS, _shown)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it is closed
            continue
        if stream is getattr(sys, f"__{name}__") and not stream.isatty():
            stream.flush()
            setattr(sys, name, _of_descriptor(stream, name))
        else:
            stream.reconfigure(errors=_ERRORS)


class Unread(Exception):
    """Nobody reads standard output any more."""


class BinaryOutput:
    """Standard output for bytes, as far as a file that is only written to needs it.

    Raises:
        Unread: From ``write``.
    """

    def write(self, data: Any) -> int:
        """Writes bytes."""
        if not is_read():
            raise Unread
        return sys.stdout.buffer.write(data)


def is_read() -> bool:
    """Tells whether anybody still reads standard output, as far as is known."""
    raw: Any = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return not getattr(raw, "is_unread", False)


def _of_descriptor(stream: Any, name: str) -> io.TextIOWrapper:
    raw = _Descriptor(stream.fileno(), is_error=name == "stderr")
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if os.environ.get("PYTHONIOENCODING") else "utf-8",
        errors=_ERRORS,
        line_buffering=stream.line_buffering or stream.write_through,  # the latter of python -u
    )


def _shown(error: UnicodeError) -> tuple[bytes, int]:
    """Replaces what an encoding has not: escaped, and names of files as they were given."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    with suppress(UnicodeError):
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    return text.encode(error.encoding, "backslashreplace"), error.end


class _Descriptor(io.FileIO):
    """A descriptor to write to, which becomes the null device when writing to it fails.

    Args:
        number: The descriptor, which stays open.
        is_error: Whether it is standard error, whose failing cannot be told to anyone.
    """

    def __init__(self, number: int, is_error: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.is_unread = False
        self._is_error = is_error

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            # Windows tells of a broken pipe by another number.
            self.is_unread = isinstance(error, BrokenPipeError) or error.errno == errno.EINVAL
            if not self.is_unread and not self._is_error:
                raise OutputError(
                    f"standard output cannot be written: {error.strerror}", error.errno
                ) from None
            return len(data)
