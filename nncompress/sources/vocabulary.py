"""The vocabulary file: one token a line, in row order."""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from nncompress.errors import InputError
from nncompress.formats.files import atomic_path, what_is
from nncompress.sources.lines import (
    BYTE_ORDER_MARK,
    MOST_LINE_BYTES,
    decoded,
    shown,
    too_long,
    without_mark,
)

# The longest word that a table may have, in bytes of UTF-8.
MOST_WORD_BYTES = 1 << 14


def read_vocabulary(path: str | os.PathLike) -> list[str]:
    r"""Reads a vocabulary whose tokens the codes file can represent.

    Args:
        path: A text file in UTF-8 with one token a line.

    Returns:
        The tokens, in order.

    Raises:
        InputError: ``read_lines`` refuses the file, or a line (numbered from 1) holds a tab.
    """
    tokens = read_lines(path)
    for number, token in enumerate(tokens, 1):
        if "\t" in token:
            raise InputError(
                f"{path}, line {number}: the token {shown(token)} holds a tab, which separates "
                "token and codes in the codes file; replace it"
            )
    return tokens


def read_lines(path: str | os.PathLike) -> list[str]:
    r"""Reads tokens: UTF-8, one a line.

    Lines end at ``\n`` and nowhere else, and tokens are not stripped: a no-break space, a carriage
    return or a Unicode line separator belongs to its token. Only if every line ends in ``\r\n``,
    as on Windows, is that taken as the line end, with a warning. A byte-order mark at the
    beginning is not part of the first token. Whatever ``write_vocabulary`` wrote is read back
    exactly.

    Args:
        path: A text file in UTF-8 with one token a line.

    Returns:
        The tokens, in order.

    Raises:
        InputError: The file is missing or UTF-16, or a line (numbered from 1) is not UTF-8 or is
            longer than 4 MiB.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} {what_is(path)}; wanted a vocabulary, one token a line")
    data = without_mark(path.read_bytes(), path)
    end = b"\n"
    if 0 < data.count(b"\n") == data.count(b"\r\n") and not data.endswith(b"\r"):
        end = b"\r\n"
        warnings.warn(
            f"every line of {path} ends in a carriage return and a line feed, as on Windows; "
            "neither is taken as part of the words",
            stacklevel=2,
        )
    lines = data.removesuffix(end).split(end) if data else []
    tokens = []
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_LINE_BYTES:
            raise too_long(path, number)
        tokens.append(decoded(line, path, number))
    return tokens


def write_vocabulary(path: str | os.PathLike, tokens: Iterable[str]) -> None:
    """Writes tokens to a vocabulary file that ``read_vocabulary`` reads.

    Args:
        path: The file to write.
        tokens: The tokens, in row order.

    Raises:
        InputError: A token holds a line break.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        writer = LineWriter(file)
        for number, token in enumerate(tokens, 1):
            if "\n" in token:
                raise InputError(f"token {number} ({shown(token)}) holds a line break")
            writer.write(token.encode("utf-8") + b"\n")
        writer.finish()


class LineWriter:
    r"""Writes tokens so that ``read_lines`` returns exactly these.

    Two kinds of list would be misread if they were written as they are. A first token that begins
    with a byte-order mark gets another one before it. If all tokens end in ``\r``, the last line
    break is left out, so that the lines do not look like those of Windows.

    Args:
        file: The file, open for bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._is_empty = self._all_return = True

    def write(self, lines: bytes) -> None:
        """Writes at least one token, in UTF-8, with a line break after each."""
        if self._is_empty and lines.startswith(BYTE_ORDER_MARK):
            self._file.write(BYTE_ORDER_MARK)
        self._is_empty = False
        self._all_return &= lines.count(b"\r\n") == lines.count(b"\n")
        self._file.write(lines)

    def finish(self) -> None:
        """Completes the file; to be called after the last token."""
        if not self._is_empty and self._all_return:
            self._file.seek(-1, os.SEEK_END)
            self._file.truncate()


def check_words(words: Sequence[str | None], first: int = 0) -> None:
    """Refuses words that cannot be kept.

    Args:
        words: The words.
        first: The row of the first word.

    Raises:
        InputError: One is neither None nor a string that UTF-8 can represent in at most
            ``MOST_WORD_BYTES``.
    """
    for row, word in enumerate(words, first):
        try:
            length = 0 if word is None else len(str.encode(word, "utf-8"))
        except (UnicodeEncodeError, TypeError):
            seen = shown(word) if isinstance(word, str) else f"{word!r:.80}"
            raise InputError(
                f"row {row} has the word {seen}; wanted a string that UTF-8 can represent"
            ) from None
        if length > MOST_WORD_BYTES:
            raise InputError(
                f"row {row} has a word of {length} bytes, {shown(word or '')}; wanted at most "
                f"{MOST_WORD_BYTES}"
            )
