"""Join shards or parts into one file, or split a file into shards."""

import argparse

from nncompress.cli.info import print_info
from nncompress.cli.next_steps import after_table
from nncompress.cli.paths import add_output, named
from nncompress.cli.printing import add_json

EXAMPLE = "vectors.nnc vectors-in-one.nnc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("tables", type=named, nargs="+",
        help=".nnc files and directories of one model, in the order of their rows")  # fmt: skip
    add_output(parser, "output", help="the file to write; the directory, with --shard-rows")
    add(
        "--shard-rows",
        type=int,
        metavar="ROWS",
        help="write a directory, with this number of rows in each file",
    )


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
        OutputError: Something cannot be written.
    """
    from nncompress.jobs.merging import merge

    embedding = merge(arguments.tables, arguments.output, shard_rows=arguments.shard_rows)
    next_lines = after_table(arguments.output, embedding)
    print_info(arguments, arguments.output, embedding, next_lines=next_lines)
