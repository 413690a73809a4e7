"""Answer: a is to b as c is to what?"""

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

EXAMPLE = "glove.nnc man king woman"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=Path)
    for name in "abc":
        add(name, metavar=name.upper())
    add("-n", "--topn", type=int, default=5, help="how many (default: 5)")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Something given cannot be used.
    """
    check_topn(arguments.topn)
    embedding = CompressedEmbedding.load(arguments.file)
    a, b, c = (key_of(embedding, word) for word in (arguments.a, arguments.b, arguments.c))
    near = embedding.most_similar([b, c], [a], arguments.topn)
    if arguments.json:
        print_facts(arguments, {"answers": near})
    else:
        print_rows([(f"{a} is to {b} as {c} is to", "cosine"), *cosines_of(near)])
