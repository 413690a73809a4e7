"""Answer an analogy: a is to b as c is to what?"""

import argparse

from nncompress.cli.paths import readable, word
from nncompress.cli.printing import (
    add_json,
    check_topn,
    cosines_of,
    key_of,
    print_facts,
    print_rows,
)
from nncompress.cli.tables import load_table
from nncompress.cli.words import MissingWords, missing_words

EXAMPLE = "glove.nnc man king woman"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=readable, help="the compressed table; - for standard input")
    for name in "abc":
        add(
            name, type=word, metavar=name.upper(),
            help="a word; in a table without words, a row's number",
        )  # fmt: skip
    add("-n", "--topn", type=int, default=5, help="number of answers (default: 5)")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
    """
    check_topn(arguments.topn)
    embedding = load_table(arguments.file)
    a, b, c = (key_of(embedding, word) for word in (arguments.a, arguments.b, arguments.c))
    if missing := missing_words(embedding, (a, b, c)):
        raise MissingWords(missing)
    near = embedding.most_similar([b, c], [a], arguments.topn)
    if arguments.json:
        print_facts(arguments, {"answers": near})
    else:
        print_rows([(f"{a} is to {b} as {c} is to", "cosine"), *cosines_of(near)])
