"""Colours and tables on a terminal, by rich where it is installed; plain text elsewhere.

``NO_COLOR``, ``FORCE_COLOR`` and ``TERM`` mean what they mean to other programs. Pipes and files
get plain text, without control characters.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from nncompress.formats.printable import printable
from nncompress.progress import hidden, is_terminal

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"error": "bold red", "warning": "bold yellow", "next": "bold green"}


def print_table(rows: Sequence[tuple[str, str]], *, has_heading: bool) -> None:
    """Prints two columns: numbers under a heading, flush right, or names and their values.

    Args:
        rows: The rows.
        has_heading: Whether the first row is the heading of the others.
    """
    with hidden():
        _print_table(
            [(printable(first), printable(second)) for first, second in rows], has_heading
        )


def _print_table(rows: Sequence[tuple[str, str]], has_heading: bool) -> None:
    console = _console(sys.stdout)
    if console is None or not is_terminal(sys.stdout):
        _print_lines(rows, has_heading, console)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=has_heading)
    body = [tuple(map(Text, row)) for row in rows]
    first, second = body.pop(0) if has_heading else ("", "")
    table.add_column(first, style="" if has_heading else "cyan", header_style="bold cyan")
    justify = "right" if has_heading else "left"
    table.add_column(second, header_style="bold cyan", overflow="fold", justify=justify)
    for row in body:
        table.add_row(*row)
    console.print(table)


def _print_lines(
    rows: Sequence[tuple[str, str]], has_heading: bool, console: "Console | None"
) -> None:
    """Prints two columns that are neither wrapped nor padded, in colour if there is a console."""
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for number, (first, second) in enumerate(rows):
        second = second.rjust(widths[1]) if has_heading else second
        line = f"{first.ljust(widths[0])}  {second}"
        if console is None:
            print(line)
            continue
        from rich.text import Text

        text = Text(line)
        if has_heading and number == 0:
            text.stylize("bold cyan")
        elif not has_heading:
            text.stylize("cyan", 0, widths[0])
        console.print(text, soft_wrap=True)


def tell(program: str, kind: str, message: str) -> None:
    """Prints a line about a command to stderr, beside the line of progress.

    Args:
        program: The command's name, in front.
        kind: ``"error"`` or ``"warning"``.
        message: The message.
    """
    with hidden():
        _print_marked(f"{program}: ", kind, message)


def tell_next(lines: Sequence[str]) -> None:
    """Prints what to type next to stderr, if that is a terminal.

    Args:
        lines: Command lines, or lines of Python.
    """
    if lines and is_terminal(sys.stderr):
        with hidden():
            _print_marked("", "next", lines[0])
            for line in lines[1:]:
                print(" " * len("next: ") + line, file=sys.stderr)


def _print_marked(before: str, mark: str, message: str) -> None:
    """Prints a line with a coloured mark to stderr."""
    console = _console(sys.stderr)
    if console is None:
        print(f"{before}{mark}: {message}", file=sys.stderr)
        return
    from rich.text import Text

    line = Text.assemble(before, (f"{mark}:", _STYLES[mark]), f" {printable(message)}")
    console.print(line, soft_wrap=True)


def _console(stream: TextIO | None) -> "Console | None":
    """Returns a console that prints in colour; None if text is to be plain."""
    forced = bool(os.environ.get("FORCE_COLOR"))
    if stream is None or not (forced or is_terminal(stream)):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(
        file=stream,
        # Older versions of rich obey an empty NO_COLOR, too.
        no_color=bool(os.environ.get("NO_COLOR")),
        highlight=False,
        emoji=False,
    )
