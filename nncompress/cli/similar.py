"""List the nearest words of words."""

import argparse
from pathlib import Path

from nncompress.cli.printing import (
    add_json,
    check_topn,
    cosines_of,
    key_of,
    print_facts,
    print_rows,
)
from nncompress.embedding.compressed import CompressedEmbedding

EXAMPLE = "glove.nnc king paris"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=Path)
    add("words", nargs="+", metavar="WORD", help="a word; without words, a row's number")
    add("-n", "--topn", type=int, default=10, help="how many (default: 10)")
    add("--probe", type=int, metavar="P",
        help="lists of the table's index to look at (nncompress index makes it); with more, fewer "
        "of the nearest are missed (default: all rows are looked at)")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Something given cannot be used.
    """
    check_topn(arguments.topn)
    embedding = CompressedEmbedding.load(arguments.file)
    keys = [key_of(embedding, word) for word in arguments.words]
    found = embedding.most_similar_batch(keys, arguments.topn, probe=arguments.probe)
    if arguments.json:
        print_facts(arguments, {str(key): near for key, near in zip(keys, found, strict=True)})
        return
    for number, (key, near) in enumerate(zip(keys, found, strict=True)):
        print("" if number == 0 else "\n", end="")
        print_rows([(f"nearest to {key}", "cosine"), *cosines_of(near)])
