"""Word vectors in word2vec's binary format.

A first line with the number of rows and D; then, for each row, its token, a space and D float32 in
little-endian order, with or without a line break after them.
"""

from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.npy import BLOCK_BYTES, MOST_COLUMNS, Rows
from nncompress.sources.lines import shown
from nncompress.sources.streams import Stream, open_stream
from nncompress.sources.vocabulary import MOST_WORD_BYTES

_CHUNK = 1 << 20
_LONGEST_LINE = 64
_PROBED_BYTES = 1 << 16
_CONTROL = bytes(set(range(32)) - {9, 10, 13})


def is_word2vec_binary(path: Path) -> bool:
    """Tells whether a file begins like word2vec's binary format.

    The first line is as in the text format, but the numbers are bytes that text never has.
    """
    with open_stream(path) as stream:
        if _header(stream) is None:
            return False
        data = stream.read(_PROBED_BYTES)
    return len(data.translate(None, _CONTROL)) < len(data)


def read_word2vec_binary(path: Path) -> Rows:
    """Reads a file block by block.

    Args:
        path: The file, compressed if its name ends in ``.gz``, ``.xz``, ``.bz2`` or ``.zip``.

    Yields:
        Tokens and rows, float32 ``(n, D)``.

    Raises:
        InputError: The file is not in this format or is incomplete; rows are numbered from 1.
    """
    with open_stream(path) as stream:
        header = _header(stream)
        if header is None:
            raise InputError(
                f"{path} does not begin with a line of two numbers; wanted rows and D"
            )
        num_rows, dim = header
        buffer = _Buffer(stream)
        block_rows = max(1, BLOCK_BYTES // (4 * dim))
        for first in range(0, num_rows, block_rows):
            tokens, rows = [], []
            for number in range(first + 1, min(first + block_rows, num_rows) + 1):
                token = buffer.until(b" ", MOST_WORD_BYTES)
                row = b"" if token is None else buffer.take(4 * dim)
                if token is None or len(row) < 4 * dim:
                    raise InputError(
                        f"{path} ends, or has no token, in row {number} of {num_rows}; the file "
                        "is cut short or not in word2vec's binary format"
                    )
                tokens.append(_checked(path, number, token.lstrip(b"\n")))
                rows.append(row)
            yield tokens, np.frombuffer(b"".join(rows), "<f4").reshape(-1, dim)


def _header(stream: Stream) -> tuple[int, int] | None:
    fields = stream.readline(_LONGEST_LINE).split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    num_rows, dim = map(int, fields)
    return (num_rows, dim) if num_rows > 0 and 0 < dim <= MOST_COLUMNS else None


def _checked(path: Path, number: int, token: bytes) -> bytes:
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(
            f"{path}, row {number}: the token {token[:40]!r} is not valid UTF-8; wanted UTF-8"
        ) from None
    if "\t" in text or "\n" in text:
        raise InputError(
            f"{path}, row {number}: the token {shown(text)} holds a tab or a line break; "
            "replace it"
        )
    return token


class _Buffer:
    """The bytes of a stream that were read but not yet taken."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._data, self._place = b"", 0

    def until(self, mark: bytes, limit: int) -> bytes | None:
        """Takes the bytes before a mark, and the mark; None if that is beyond the limit."""
        while (end := self._data.find(mark, self._place)) < 0:
            if len(self._data) - self._place > limit or not self._more():
                return None
        taken = self._data[self._place : end]
        self._place = end + 1
        return taken

    def take(self, count: int) -> bytes:
        """Takes ``count`` bytes, or fewer at the end."""
        while len(self._data) - self._place < count and self._more():
            pass
        taken = self._data[self._place : self._place + count]
        self._place += len(taken)
        return taken

    def _more(self) -> bool:
        more = self._stream.read(_CHUNK)
        self._data, self._place = self._data[self._place :] + more, 0
        return bool(more)
