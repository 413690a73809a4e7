"""Text of any size, piece by piece: its words, or how often a tokenizer's tokens occur in it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.sources.lines import without_mark
from nncompress.sources.streams import open_stream
from nncompress.sources.vocabulary import MOST_WORD_BYTES

_PIECE_BYTES = 1 << 20
# What tokens take in memory is many times their text.
_TOKENIZED_BYTES = 1 << 18
WHAT = "a text"


def words_of(path: str | os.PathLike) -> Iterator[list[bytes]]:
    r"""Yields the words of a text, in UTF-8, some at a time.

    Words are what stands between ASCII white space, as word2vec, GloVe and fastText have it, in
    lines of any length. One of more than 16 KiB, which no table has, loses its beginning.

    Args:
        path: The text, compressed if its name ends in ``.gz``, ``.xz`` or ``.zip``.

    Raises:
        InputError: The file is missing, damaged or UTF-16.
    """
    path = Path(path)
    rest = b""
    for piece in _pieces(path, _PIECE_BYTES):
        piece = rest + piece
        words = piece.split()
        # The last word may go on in the next piece.
        rest = words.pop() if words and not piece[-1:].isspace() else b""
        rest = rest[-MOST_WORD_BYTES - 1 :]
        yield words
    if rest:
        yield [rest]


def count_tokens(path: str | os.PathLike, tokenizer: Any, num_rows: int) -> tuple[np.ndarray, int]:
    """Counts the tokens of a text, each line being a text of its own to the tokenizer.

    What the tokenizer puts around a text (as ``[CLS]`` and ``[SEP]``) is counted too, for a model
    sees it with each; where it would cut a text off or fill it up, it does not. Bytes that are
    not UTF-8 are taken for U+FFFD.

    Args:
        path: The text, compressed if its name ends in ``.gz``, ``.xz`` or ``.zip``.
        tokenizer: A ``tokenizers.Tokenizer``, which is changed so.
        num_rows: N, the rows of the table; tokens of larger numbers count among all tokens alone.

    Returns:
        The counts by token number, float64 ``(N,)``, and the number of all tokens.

    Raises:
        InputError: The file is missing, damaged or UTF-16.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts, total = np.zeros(num_rows), 0
    for lines in _lines_of(Path(path)):
        encodings = tokenizer.encode_batch_fast(lines, add_special_tokens=True)
        tokens = np.fromiter((token for one in encodings for token in one.ids), np.int64)
        total += len(tokens)
        counts += np.bincount(tokens[tokens < num_rows], minlength=num_rows)
    return counts, total


def _lines_of(path: Path) -> Iterator[list[str]]:
    """Yields the lines of a text that are not empty, some at a time; very long ones in parts."""
    rest = b""
    for piece in _pieces(path, _TOKENIZED_BYTES):
        piece = rest + piece
        end = piece.rfind(b"\n") + 1
        if not end and len(piece) >= _TOKENIZED_BYTES:
            end = piece.rfind(b" ") + 1 or _whole_characters(piece)
        rest = piece[end:]
        yield _not_empty(piece[:end])
    yield _not_empty(rest)


def _not_empty(text: bytes) -> list[str]:
    lines = (line.strip("\r") for line in text.decode("utf-8", "replace").split("\n"))
    return [line for line in lines if line and not line.isspace()]


def _whole_characters(piece: bytes) -> int:
    """Returns the length of a piece of UTF-8 without a last character that is cut."""
    for back in range(1, 4):
        byte = piece[-back]
        if byte >= 0xC0:
            return len(piece) - back
        if byte < 0x80:
            break
    return len(piece)


def _pieces(path: Path, num_bytes: int) -> Iterator[bytes]:
    with open_stream(path, WHAT) as stream:
        start = without_mark(stream.read(num_bytes), path)
        while start:
            yield start
            start = stream.read(num_bytes)
