"""Make a .nnc file of codes in text and a codebook."""

import argparse
from pathlib import Path

from nncompress.cli.info import print_info
from nncompress.cli.printing import add_json
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.formats.files import check_output

EXAMPLE = "mymodel.codes mymodel.codebook.npy mymodel.nnc --words glove.6B.300d.word"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("codes", type=Path, help="text: a row of codes a line, after a token and a tab or alone")
    add("codebook", type=Path, help="the .npy file of the codebook, (M*K, D)")
    add("output", type=Path, help="the .nnc file to write, which replaces one that is there")
    add("--words", type=Path, help="the words of codes without tokens: a token a line")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Something given cannot be used.
    """
    inputs = arguments.codes, arguments.codebook, arguments.words
    check_output(arguments.output, inputs)
    embedding = CompressedEmbedding.from_files(*inputs)
    embedding.save(arguments.output)
    print_info(arguments, arguments.output, CompressedEmbedding.load(arguments.output))
