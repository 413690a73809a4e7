"""Lines of text: bounded in length, in UTF-8, without a byte-order mark."""

import codecs
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

from nncompress.errors import InputError

# The longest line that is read. A row of 300,000 numbers fits; anything longer is not a table in
# text, and may be a few bytes that decompress to gigabytes.
MOST_LINE_BYTES = 4 << 20
BYTE_ORDER_MARK = codecs.BOM_UTF8
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's begins with these, or with zeros
_MOST_SHOWN = 40


class _Readable(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


def text_lines(file: _Readable, path: Path) -> Iterator[bytes]:
    """Yields lines with their line breaks, the first one without a byte-order mark.

    Args:
        file: The stream, at its beginning.
        path: The file's name in messages.

    Raises:
        InputError: A line is longer than ``MOST_LINE_BYTES``, or the text is UTF-16.
    """
    for number in count(1):
        line = file.readline(MOST_LINE_BYTES + 1)
        if not line:
            return
        if len(line) > MOST_LINE_BYTES:
            raise too_long(path, number)
        yield without_mark(line, path) if number == 1 else line


def without_mark(start: bytes, path: Path | str) -> bytes:
    """Returns the beginning of a text without UTF-8's byte-order mark.

    Raises:
        InputError: The text begins with UTF-16's mark.
    """
    if start.startswith(_UTF_16):
        raise InputError(
            f"{path} is UTF-16 text; wanted UTF-8, as iconv -f UTF-16 -t UTF-8 writes it"
        )
    return start.removeprefix(BYTE_ORDER_MARK)


def too_long(path: Path | str, number: int) -> InputError:
    """Returns the error for a line, numbered from 1, that is longer than ``MOST_LINE_BYTES``."""
    return InputError(
        f"{path}, line {number}: more than {MOST_LINE_BYTES >> 20} MiB without a line break; "
        "wanted text with a row in each line"
    )


def decoded(line: bytes, path: Path | str, number: int) -> str:
    """Returns a line as text.

    Args:
        line: The line, without its end.
        path: The file's name in messages.
        number: The line's number, from 1.

    Raises:
        InputError: The line is not UTF-8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, line {number}: invalid UTF-8 ({error.reason} at byte {error.start}); "
            "wanted UTF-8 text"
        ) from None


def shown(token: str) -> str:
    """Returns a token as messages show it: quoted, and cut short if it is long."""
    return repr(token if len(token) <= _MOST_SHOWN else token[:_MOST_SHOWN] + "...")
