"""Make one file of shards or of parts, or shards of a file."""

import argparse
from pathlib import Path

from nncompress.cli.info import print_info
from nncompress.cli.printing import add_json

EXAMPLE = "vectors.nnc vectors-in-one.nnc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("tables", type=Path, nargs="+",
        help=".nnc files and directories of one model, in the order of their rows")  # fmt: skip
    add("output", type=Path, help="the file to write; the directory, with --shard-rows")
    add("--shard-rows", type=int, metavar="ROWS", help="write a directory, so many rows a file")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Something given cannot be used.
        OutputError: Something cannot be written.
    """
    from nncompress.jobs.merging import merge

    embedding = merge(arguments.tables, arguments.output, shard_rows=arguments.shard_rows)
    print_info(arguments, arguments.output, embedding)
