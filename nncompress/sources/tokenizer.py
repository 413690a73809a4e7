"""Tokenizers that lie beside a table with a row for each of their tokens."""

import os
from pathlib import Path
from typing import Any

from nncompress.errors import FormatError, InputError
from nncompress.missing import brought_by
from nncompress.sources.hugging_face import find_tokens
from nncompress.sources.open_rows import is_model
from nncompress.sources.places import place_of

_FILE = "tokenizer.json"


def load_tokenizer(path: str | os.PathLike) -> Any:
    """Returns the ``tokenizers.Tokenizer`` of a file, or of a folder with one.

    Raises:
        InputError: There is no such file, or the library ``tokenizers`` is not installed.
        FormatError: The file is not a tokenizer.
    """
    path = Path(path)
    file = path / _FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file} does not exist; wanted a {_FILE}, or the folder that holds it")
    with brought_by("tokenizers", "reading a tokenizer"):
        from tokenizers import Tokenizer
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more specific
        raise FormatError(f"{file} is not a file of the library tokenizers: {error}") from None


def tokenizer_of_table(source: object, words: object) -> Any:
    """Returns the ``tokenizers.Tokenizer`` whose tokens are a table's rows; None if it has none.

    Args:
        source: What ``open_table`` takes.
        words: The words that were given with it; the path of a ``tokenizer.json`` gives a
            tokenizer.

    Raises:
        InputError: The library ``tokenizers`` is not installed, or there is only a list of the
            tokens, which does not say how text is split into them.
        FormatError: The file is not a tokenizer.
    """
    if isinstance(words, (str, os.PathLike)) and os.fspath(words).endswith(".json"):
        return load_tokenizer(words)
    if words is not None:
        return None
    if not isinstance(source, (str, os.PathLike)) or not is_model(place_of(source)):
        return None
    tokens = find_tokens(place_of(source))
    if tokens is None:
        return None
    if not tokens.basename.endswith(".json"):
        raise InputError(
            f"the tokens of {source} are in {tokens.name}, which does not say how text is split "
            f"into them; wanted a {_FILE} beside it, or the counts of the tokens (--frequencies)"
        )
    return load_tokenizer(tokens.name)
