"""Train, evaluate and export an embedding quantization, as the paper authors' command does."""

import argparse
from pathlib import Path

from nncompress.cli.next_steps import command_line
from nncompress.cli.paths import named
from nncompress.cli.terminal import tell_next
from nncompress.cli.train import DEFAULT_MATRIX, require_default_matrix
from nncompress.errors import InputError
from nncompress.progress import say
from nncompress.training.settings import RECIPES

EXAMPLE = "-M 32 -K 16 --train --evaluate --export --matrix data/glove.6B.50d.npy"
_MODEL = Path("data/mymodel")
_ENDINGS = "codes", "codebook.npy", "nnc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("--matrix", type=named, default=DEFAULT_MATRIX,
        help=f"embedding matrix in a .npy file (default: {DEFAULT_MATRIX})")  # fmt: skip
    add("--model", type=named, default=_MODEL,
        help="path of the model without its extension; existing files are replaced "
        f"(default: {_MODEL})")  # fmt: skip
    add(
        "--limit",
        type=int,
        default=50_000,
        help="use only the first N rows; 0 means all (default: 50000)",
    )
    add("-M", "--M", type=int, default=32, help="number of codebooks (default: 32)")
    add("-K", "--K", type=int, default=16, help="codewords in each codebook (default: 16)")
    add("--recipe", choices=list(RECIPES), default="fast",
        help="set of defaults (default: fast; here paper means authors: the paper authors' own "
        "code)")  # fmt: skip
    add(
        "-g",
        "--gpu",
        type=int,
        default=-1,
        help="number of the GPU (default: -1, the CPU)",
    )
    add("--threads", type=int, help="CPU threads (default: all usable cores)")
    add("--train", action="store_true", help="train, and write MODEL.npz")
    add("--evaluate", action="store_true", help="print the mean Euclidean distance")
    add("--export", action="store_true", help="write MODEL.codes and MODEL.codebook.npy")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
    """
    if not (arguments.train or arguments.evaluate or arguments.export):
        raise InputError("nothing to do; wanted at least one of --train, --evaluate and --export")
    if arguments.limit < 0:
        raise InputError(f"the limit on rows is {arguments.limit}; wanted 0 (all rows) or more")
    if arguments.matrix == DEFAULT_MATRIX:
        require_default_matrix("--matrix")

    from nncompress.compressor import EmbeddingCompressor
    from nncompress.sources import EmbeddingMatrix

    compressor = EmbeddingCompressor(
        arguments.M,
        arguments.K,
        arguments.model,
        gpu=arguments.gpu,
        threads=arguments.threads,
    )
    matrix = EmbeddingMatrix.open(arguments.matrix, arguments.limit or None)
    if arguments.train:
        recipe = arguments.recipe
        if recipe == "paper":
            recipe = "authors"
            say("here --recipe paper means the recipe authors: tau 1, clipping at norm 0.001")
        compressor.train(matrix, recipe=recipe, report=say)
        say("Training Done")
    if arguments.evaluate:
        say(f"Mean euclidean distance: {compressor.evaluate(matrix):.9g}")
    if arguments.export:
        compressor.export(matrix, arguments.model)
        codes, codebook, table = (f"{arguments.model}.{ending}" for ending in _ENDINGS)
        tell_next([command_line("import", codes, codebook, table)])
