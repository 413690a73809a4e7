"""Text of any size, read piece by piece: its words, or counts of a tokenizer's tokens in it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.sources.lines import without_mark
from nncompress.sources.streams import open_stream
from nncompress.sources.vocabulary import MOST_WORD_BYTES

_PIECE_BYTES = 1 << 20
# Tokens take many times as much memory as their text.
_TOKENIZED_BYTES = 1 << 18
WHAT = "a text"


def words_of(path: str | os.PathLike) -> Iterator[list[bytes]]:
    r"""Yields the words of a text, in UTF-8, some at a time.

    Words are separated by ASCII white space, as in word2vec, GloVe and fastText, and lines may
    have any length. A word of more than 16 KiB, which no table has, loses its beginning.

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
        # The last word may continue in the next piece.
        rest = words.pop() if words and not piece[-1:].isspace() else b""
        rest = rest[-MOST_WORD_BYTES - 1 :]
        yield words
    if rest:
        yield [rest]


def count_tokens(path: str | os.PathLike, tokenizer: Any, num_rows: int) -> tuple[np.ndarray, int]:
    """Counts the tokens of a text, giving each line to the tokenizer as a text of its own.

    The special tokens that the tokenizer puts around a text (such as ``[CLS]`` and ``[SEP]``) are
    counted too, because a model sees them with every text; truncation and padding are turned off.
    Bytes that are not UTF-8 are read as U+FFFD.

    Args:
        path: The text, compressed if its name ends in ``.gz``, ``.xz`` or ``.zip``.
        tokenizer: A ``tokenizers.Tokenizer``, whose truncation and padding stay off afterwards.
        num_rows: N, the rows of the table; tokens with larger numbers only add to the total.

    Returns:
        The counts by token number, float64 ``(N,)``, and the total number of tokens.

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
    """Yields the non-empty lines of a text, some at a time; very long ones in parts."""
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
    """Returns the length of a piece of UTF-8 without a truncated last character."""
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
