"""Make a .nnc file from codes in text and a codebook."""

import argparse

from nncompress.cli.info import print_info
from nncompress.cli.next_steps import after_table
from nncompress.cli.paths import add_output, readable, writable
from nncompress.cli.printing import add_json
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.formats.files import check_output

EXAMPLE = "mymodel.codes mymodel.codebook.npy mymodel.nnc --words glove.6B.300d.word"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add(
        "codes",
        type=readable,
        help="text: the codes of a row on each line, alone or after a token and a tab",
    )
    add("codebook", type=readable, help="the codebook, a .npy file of shape (M*K, D)")
    add_output(
        parser,
        "output",
        type=writable,
        help="the .nnc file to write, which replaces an existing one; - for standard output",
    )
    add("--words", type=readable, help="words for codes without tokens, one per line")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
    """
    inputs = arguments.codes, arguments.codebook, arguments.words
    check_output(arguments.output, inputs)
    embedding = CompressedEmbedding.from_files(*inputs)
    embedding.save(arguments.output)
    embedding = CompressedEmbedding.load(arguments.output)
    next_lines = after_table(arguments.output, embedding)
    print_info(arguments, arguments.output, embedding, next_lines=next_lines)
