"""Running a command of ``nncompress`` as a script of its own."""

import sys
from pathlib import Path
from types import ModuleType

from nncompress.cli import memory
from nncompress.cli.together import Parser, add_version
from nncompress.progress import overall


def main(command: ModuleType, argv: list[str] | None = None, **options: object) -> object:
    """Parses a command line and runs a command.

    Args:
        command: A module of ``nncompress.cli`` with a command.
        argv: The command line; None: the process's.
        options: Further arguments for the command's ``run``.

    Returns:
        What the command's ``run`` returns.

    Raises:
        InputError: Something given cannot be used, or there is not enough memory.
    """
    parser = Parser(
        description=command.__doc__,
        epilog=f"example: python {Path(sys.argv[0]).name} {command.EXAMPLE}",
    )
    add_version(parser)
    command.add_arguments(parser)
    arguments = parser.parse_args(argv)
    with memory.advising(command), overall():
        return command.run(arguments, **options)
