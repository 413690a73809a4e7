"""The command ``nncompress`` as a program, which reacts to signals from its first import on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nncompress.cli import signals


def run() -> None:
    """Runs the command as a program."""
    signals.at_once("nncompress")

    with base_install("nncompress"):
        from nncompress.cli import errors
        from nncompress.cli.main import main

    errors.run(main, "nncompress")


@contextmanager
def base_install(program: str | None = None) -> Iterator[None]:
    """Ends the program with one line where the block imports a library that is missing.

    In a clone, commands can be started before anything is installed, not even NumPy.

    Args:
        program: The name that the line begins with; by default the script's.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        from nncompress.missing import MissingLibraryError

        message = str(error)
        if not isinstance(error, MissingLibraryError):
            message = (
                f"{error.name or error} is not installed; install what commands need: "
                "pip install chainer-nncompress, or, in a clone, pip install ."
            )
        print(f"{program or Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
        sys.exit(2)
