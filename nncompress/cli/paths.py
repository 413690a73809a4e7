"""Arguments for paths and words; ``-`` stands for standard input or output."""

import argparse
import os
from enum import Enum, auto
from pathlib import Path
from typing import Any

_DASH = "-"


class Standard(Enum):
    """What ``-`` stands for, in the place of a path.

    Attributes:
        INPUT: Standard input.
        OUTPUT: Standard output, for a file that is complete before it is handed out.
        STREAM: Standard output, for what is handed out as it is made.
    """

    INPUT = auto()
    OUTPUT = auto()
    STREAM = auto()


def source(text: str) -> str | Standard:
    """Takes an argument for a path or URL to read, or standard input."""
    return Standard.INPUT if text == _DASH else text


def readable(text: str) -> Path | Standard:
    """Takes an argument for a file to read, or standard input."""
    return Standard.INPUT if text == _DASH else Path(text)


def writable(text: str) -> Path | Standard:
    """Takes an argument for a file to write, or standard output."""
    return Standard.OUTPUT if text == _DASH else Path(text)


def file_or_folder(text: str) -> tuple[Path | Standard, bool]:
    """Takes an argument for a file or a folder to write; True for a folder's name, as ``out/``."""
    return writable(text), text.endswith(("/", os.sep))


def streamable(text: str) -> Path | Standard:
    """Takes an argument for a file to write, or standard output, bit by bit."""
    return Standard.STREAM if text == _DASH else Path(text)


def named(text: str) -> Path:
    """Takes an argument for a path that has to be a name.

    Raises:
        argparse.ArgumentTypeError: It is ``-``.
    """
    return Path(named_source(text))


def named_source(text: str) -> str:
    """Takes an argument for a path or URL that has to be a name.

    Raises:
        argparse.ArgumentTypeError: It is ``-``.
    """
    if text == _DASH:
        raise argparse.ArgumentTypeError(
            "- would be standard input or output, and a name is needed here; a file named - is ./-"
        )
    return text


def word(text: str) -> str:
    """Takes an argument for a word, which is UTF-8 whatever the locale."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def add_output(parser: argparse.ArgumentParser, *names: str, **options: Any) -> None:
    """Adds an argument that names an output; options are those of ``add_argument``."""
    action = parser.add_argument(*names, **({"type": named} | options))
    outputs = parser.get_default("outputs") or ()
    parser.set_defaults(outputs=(*outputs, action.dest))
