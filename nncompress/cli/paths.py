"""Arguments for paths and words; ``-`` stands for standard input or output."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def made_directories(arguments: argparse.Namespace, program: str) -> Iterator[None]:
    """Says which directories the block makes for outputs, and removes them where it fails.

    Args:
        arguments: The command line, which names its outputs under ``outputs``.
        program: The name that the lines begin with.
    """
    values = (getattr(arguments, name) for name in getattr(arguments, "outputs", ()))
    missing = {
        parent: [each for each in (parent, *parent.parents) if not each.exists()]
        for parent in dict.fromkeys(path.parent for path in values if isinstance(path, Path))
    }
    try:
        yield
    except BaseException:
        for directories in missing.values():
            for directory in directories:
                with suppress(OSError):  # it is not empty, or was never made
                    directory.rmdir()
        raise
    for parent, directories in missing.items():
        if directories and parent.is_dir():
            print(f"{program}: made the directory {parent}{os.sep}", file=sys.stderr)
