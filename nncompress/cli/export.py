"""Write the decoded vectors."""

import argparse
from pathlib import Path

from nncompress.cli.printing import add_json, format_bytes, print_facts
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.export import FORMATS, export
from nncompress.formats.files import check_output

EXAMPLE = "glove.nnc glove.txt --to glove"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=Path)
    add("output", type=Path, help="the file to write, which is replaced if it is there; .npy puts "
        "the words beside it into .word, and gensim a large table's vectors into .vectors.npy: "
        "these are never replaced by something else")  # fmt: skip
    add("--to", choices=FORMATS, required=True,
        help="word2vec is binary if the output's name ends in .bin")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: The output cannot be written, or the format cannot hold a word.
    """
    check_output(arguments.output, [arguments.file])
    embedding = CompressedEmbedding.load(arguments.file)
    written = export(embedding, arguments.output, arguments.to)
    sizes = {str(path): path.stat().st_size for path in written}
    print_facts(arguments, {"files": sizes}, {path: format_bytes(n) for path, n in sizes.items()})
