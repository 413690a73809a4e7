"""Standard input as a file to read, and standard output as a file to write.

What is read from a pipe is written to a temporary file first, for tables are mapped and gone
through several times.
"""

import argparse
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import BinaryIO

from nncompress.cli.paths import Standard
from nncompress.errors import InputError, Interrupted
from nncompress.formats.files import scratch_directory
from nncompress.sources.conversion import check_room, naming
from nncompress.sources.foreign import ending_of

STANDARD_INPUT, STANDARD_OUTPUT = "standard input", "standard output"
_BLOCK_BYTES = 16 << 20
_START_BYTES = 1 << 16


@contextmanager
def standard_streams(arguments: argparse.Namespace) -> Iterator[None]:
    """Puts files in the place of standard streams while the block runs.

    What was written to the one for standard output is handed out at the end; until then,
    everything that is printed goes to standard error.

    Args:
        arguments: The command line, which is changed.

    Raises:
        InputError: Standard input is named twice, empty or a terminal, or standard output is one.
    """
    inputs = [name for name, value in vars(arguments).items() if value is Standard.INPUT]
    outputs = [name for name, value in vars(arguments).items() if value is Standard.OUTPUT]
    if not inputs and not outputs:
        yield
        return
    if len(inputs) > 1:
        raise InputError(
            f"- is given for {' and '.join(inputs)}, and standard input can be read once; save "
            "one of them to a file"
        )
    if inputs and getattr(arguments, "work", None) is not None:
        raise InputError(
            "--work keeps work to continue it, and standard input cannot be read a second time; "
            "save it to a file first, or leave --work out"
        )
    if outputs:
        check_output(arguments)
    is_kept = not inputs and getattr(arguments, "work", None) is not None
    with (
        scratch_directory() as scratch,
        nullcontext() if is_kept else _nothing_to_continue(),
        _named_in_messages(scratch),
    ):
        for name in inputs:
            setattr(arguments, name, _spooled(scratch))
        if inputs and hasattr(arguments, "work"):
            arguments.work = scratch / "work"  # it goes with the input that it was made of
        if not outputs:
            yield
            return
        (name,) = outputs
        place = scratch / f"{STANDARD_OUTPUT}.nnc"
        setattr(arguments, name, place)
        with redirect_stdout(sys.stderr):
            yield
        if place.is_file():  # a dry run writes none
            with place.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, _BLOCK_BYTES)
            sys.stdout.flush()


def check_output(arguments: argparse.Namespace) -> None:
    """Refuses to write a table to standard output where that is of no use.

    Raises:
        InputError: It is a terminal or closed, or JSON is to be printed there too.
    """
    if sys.stdout is None or sys.stdout.isatty():
        seen = "closed" if sys.stdout is None else "a terminal"
        raise InputError(
            f"standard output is {seen}; wanted a pipe or a file for the table, as in > FILE, or "
            "the name of a file in the place of -"
        )
    if getattr(arguments, "json", False):
        raise InputError(
            "--json prints on standard output, where - writes the table; leave one of them out"
        )


def read_words() -> list[str]:
    """Returns the words on standard input, one a line; empty lines are passed over.

    Raises:
        InputError: It is closed, is no text in UTF-8, or has no word.
    """
    try:
        lines = _input().read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 ({error.reason}); wanted words") from None
    words = [word for line in lines if (word := line.removesuffix("\r"))]
    if not words:
        raise InputError("standard input is empty; wanted a word a line")
    return words


def _input() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("standard input is closed; wanted something to read, as in < FILE")
    return sys.stdin.buffer


def _spooled(directory: Path) -> Path:
    """Writes standard input to a file whose name tells its kind."""
    stream = _input()
    if stream.isatty():
        raise InputError(
            "standard input is a terminal; wanted a file or what another command prints, as in "
            "< FILE"
        )
    block = stream.read(_START_BYTES)
    if not block:
        raise InputError("standard input is empty; wanted something to read")
    place = directory / f"{STANDARD_INPUT}{ending_of(block)}"
    with naming(place), place.open("wb") as file:
        while block:
            check_room(len(block), STANDARD_INPUT, directory)
            file.write(block)
            block = stream.read(_BLOCK_BYTES)
    return place


@contextmanager
def _nothing_to_continue() -> Iterator[None]:
    """Has an interruption name no command that continues the work, for none of it is kept."""
    try:
        yield
    except Interrupted as error:
        raise Interrupted(error.signal) from None


@contextmanager
def _named_in_messages(directory: Path) -> Iterator[None]:
    """Has errors and warnings say "standard input" where they name the file of it."""
    path = re.compile(
        rf"{re.escape(f'{directory}{os.sep}')}({STANDARD_INPUT}|{STANDARD_OUTPUT})(\.\w+)?"
    )

    def renamed(text: object) -> object:
        return path.sub(r"\1", text) if isinstance(text, str) else text

    show = warnings.showwarning

    def show_renamed(message: Warning | str, *where: object, **more: object) -> None:
        show(renamed(str(message)), *where, **more)

    warnings.showwarning = show_renamed
    try:
        yield
    except Exception as error:
        error.args = tuple(renamed(each) for each in error.args)
        raise
    finally:
        warnings.showwarning = show
