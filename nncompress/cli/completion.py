"""Shell completion of commands, flags and file names, by a script that shtab generates."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nncompress.cli import paths
from nncompress.missing import brought_by

SHELLS = ("bash", "zsh", "fish")


class PrintCompletion(argparse.Action):
    """Prints the script for a shell and exits; shtab is not imported before that."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Prints the script.

        Raises:
            MissingLibraryError: shtab is not installed.
        """
        with brought_by("terminal"):
            import shtab
        for action in _actions(parser):
            if _is_path(action):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, values))
        parser.exit()


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that prints a completion script."""
    parser.add_argument(
        "--print-completion", action=PrintCompletion, choices=SHELLS,
        help="print a script that makes the shell complete commands, flags and file names",
    )  # fmt: skip


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yields the arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _is_path(action: argparse.Action) -> bool:
    kind = action.type
    if kind is paths.word:
        return False
    return kind is Path or getattr(kind, "__module__", None) == paths.__name__
