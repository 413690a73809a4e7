"""List the words nearest to given words."""

import argparse

from nncompress.cli import output_streams
from nncompress.cli.paths import readable, word
from nncompress.cli.printing import (
    add_json,
    check_topn,
    cosines_of,
    key_of,
    print_facts,
    print_rows,
)
from nncompress.cli.standard_streams import read_words
from nncompress.cli.tables import load_table
from nncompress.cli.words import MissingWords, missing_words

EXAMPLE = "glove.nnc king paris"
_FROM_INPUT = ["-"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=readable, help="the compressed table; - for standard input")
    add(
        "words", nargs="+", type=word, metavar="WORD",
        help="a word, or - for those on standard input, one per line; in a table without words, a "
        "row's number",
    )  # fmt: skip
    add("-n", "--topn", type=int, default=10, help="number of nearest words (default: 10)")
    add(
        "--probe", type=int, metavar="P",
        help="search only P lists of the table's index, which nncompress index makes; the more "
        "lists, the fewer near words are missed (default: search all rows)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
        MissingWords: Words are missing; the others have been answered.
    """
    check_topn(arguments.topn)
    words = arguments.words
    if words == _FROM_INPUT:
        words = read_words()
    embedding = load_table(arguments.file)
    keys = dict.fromkeys(key_of(embedding, word) for word in words)
    missing = missing_words(embedding, keys)
    found: dict[str, object] = {}
    is_printed = False
    for key in keys:
        if not output_streams.is_read():
            break
        if key in missing:
            line, suggestions = missing[key]
            found[str(key)] = {"error": line, "did_you_mean": suggestions}
            continue
        (near,) = embedding.most_similar_batch([key], arguments.topn, probe=arguments.probe)
        if not arguments.json:
            print("\n" if is_printed else "", end="")
            is_printed = True
            print_rows([(f"nearest to {key}", "cosine"), *cosines_of(near)])
        found[str(key)] = near
    if arguments.json:
        print_facts(arguments, found)
    if missing:
        raise MissingWords(missing, is_told=arguments.json)
