"""Make the index of a table, with which similar --probe searches only a few of its rows."""

import argparse
import time

from nncompress.cli.next_steps import command_line, example_word
from nncompress.cli.paths import named
from nncompress.cli.printing import add_json, format_bytes, format_seconds, print_facts
from nncompress.cli.tables import load_table
from nncompress.embedding.index_file import beside

_PROBE = 16  # lists for the user to begin with
EXAMPLE = "glove.nnc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=named, help="the table; its index is written beside it, into FILE.ivf")
    add("--lists", type=int, metavar="C",
        help="number of lists (default: 4 times the square root of the rows)")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: There is no such table, or the number of lists is out of range.
    """
    embedding = load_table(arguments.file)
    started = time.perf_counter()
    index = embedding.build_index(lists=arguments.lists)
    seconds = time.perf_counter() - started
    path = beside(arguments.file)
    size, num_rows = path.stat().st_size, embedding.table.num_rows
    facts = {
        "file": str(path),
        "file_bytes": size,
        "bytes_per_row": round(size / num_rows, 3),
        "lists": index.num_lists,
        "seconds": round(seconds, 2),
    }
    lines = {
        str(path): f"{format_bytes(size)}, {facts['bytes_per_row']} bytes a row",
        "lists": f"{index.num_lists:,}, of {num_rows / index.num_lists:,.0f} rows on average",
        "time": format_seconds(seconds),
    }
    probe = min(_PROBE, index.num_lists)
    word = example_word(embedding)
    next_line = command_line("similar", arguments.file, word, "--probe", probe)
    print_facts(arguments, facts, lines, [next_line])
