"""The vocabulary file: one token a line, in row order."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from nncompress.errors import InputError
from nncompress.formats.files import atomic_path


def read_vocabulary(path: str | os.PathLike) -> list[str]:
    r"""Reads a vocabulary whose tokens the codes file can represent.

    Args:
        path: A text file in UTF-8 with one token a line.

    Returns:
        The tokens, in order.

    Raises:
        InputError: The file is missing, or a line, which the message numbers from 1, is not UTF-8
            or holds a tab.
    """
    tokens = read_lines(path)
    for number, token in enumerate(tokens, 1):
        if "\t" in token:
            raise InputError(
                f"{path}, line {number}: the token {token!r} holds a tab, which separates token "
                "and codes in the codes file; replace it"
            )
    return tokens


def read_lines(path: str | os.PathLike) -> list[str]:
    r"""Reads tokens: UTF-8, one a line.

    Lines end at ``\n`` and nowhere else, and tokens are not stripped: a no-break space, a carriage
    return or a Unicode line separator belongs to its token.

    Args:
        path: A text file in UTF-8 with one token a line.

    Returns:
        The tokens, in order.

    Raises:
        InputError: The file is missing, or a line, which the message numbers from 1, is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; wanted a vocabulary, one token a line")
    data = path.read_bytes()
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    tokens = []
    for number, line in enumerate(lines, 1):
        try:
            tokens.append(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, line {number}: invalid UTF-8 ({error.reason} at byte {error.start}); "
                "wanted UTF-8 text"
            ) from None
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
        for number, token in enumerate(tokens, 1):
            if "\n" in token:
                raise InputError(f"token {number} ({token!r}) holds a line break")
            file.write(token.encode("utf-8") + b"\n")


def check_words(words: Sequence[str | None]) -> None:
    """Refuses what cannot be kept as words.

    Raises:
        InputError: One is neither None nor a string that UTF-8 can represent.
    """
    for row, word in enumerate(words):
        try:
            if word is not None:
                str.encode(word, "utf-8")
        except (UnicodeEncodeError, TypeError):
            raise InputError(
                f"row {row} has the word {word!r}; wanted a string that UTF-8 can represent"
            ) from None
