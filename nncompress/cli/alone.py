"""Running one command of ``nncompress`` as a script of its own."""

import sys
from pathlib import Path
from types import ModuleType

from nncompress.cli import memory
from nncompress.cli.together import Parser


def main(command: ModuleType, argv: list[str] | None = None, **options: object) -> object:
    """Parses a command line and runs a command.

    Args:
        command: A module of ``nncompress.cli`` that has one.
        argv: The command line; None: the process's.
        options: More of what the command's ``run`` takes.

    Returns:
        What the command's ``run`` returns.

    Raises:
        InputError: Something given cannot be used, or there is not enough memory.
    """
    parser = Parser(
        description=command.__doc__,
        epilog=f"example: python {Path(sys.argv[0]).name} {command.EXAMPLE}",
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(argv)
    with memory.advising(command):
        return command.run(arguments, **options)
