"""Decode a trained model into codes, a codebook and a compressed embedding (.nnc)."""

import argparse
from datetime import datetime

from nncompress.cli.next_steps import after_table
from nncompress.cli.paths import named
from nncompress.cli.tables import load_table
from nncompress.cli.terminal import tell_next
from nncompress.progress import say

EXAMPLE = "--model result/RUN --vocab-path data/glove.word"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU (default: -1, the CPU)")
    add(
        "--model",
        type=named,
        required=True,
        help="a snapshot iter_<n>.npz, or a run directory, whose best snapshot is taken",
    )
    add("-M", "--M", type=int, help="number of codebooks, for a snapshot outside of its run")
    add("-K", "--K", type=int, help="codewords in each, for a snapshot outside of its run")
    add(
        "--vocab-path",
        type=named,
        metavar="FILE",
        help="the vocabulary, a token on each line (default: no tokens)",
    )
    add(
        "--matrix",
        type=named,
        metavar="FILE",
        help="matrix to encode (default: the one trained on)",
    )
    add("--limit", type=int, metavar="N", help="encode only the first N rows")
    add(
        "-b",
        "--batchsize",
        type=int,
        dest="batch_size",
        metavar="ROWS",
        default=16_384,
        help="rows per batch (default: 16384)",
    )
    add(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help="refine codes and codebook (default: for runs of the fast recipe)",
    )
    add(
        "--weights",
        type=named,
        metavar="FILE",
        help="weights of the rows in refinement (default: the run's)",
    )
    add(
        "--time-budget",
        type=float,
        metavar="SECONDS",
        help="approximate number of seconds to refine for (default: no limit)",
    )
    add(
        "--codebook-dtype",
        choices=("auto", "float16", "float32", "int8"),
        default="auto",
        help="type of the .nnc file's codebook (default: float16 where that costs next to "
        "nothing: 0.1%% of the loss, 0.001 of the mean cosine)",
    )
    add("--threads", type=int, help="threads on the CPU (default: all usable cores)")


def run(arguments: argparse.Namespace) -> float:
    """Runs the command, and returns the mean Euclidean distance.

    Raises:
        InputError: An argument cannot be used.
        OutputError: A file cannot be written.
    """
    started = datetime.now()

    from nncompress.machine import Machine
    from nncompress.refinement.refine import RefinementSettings
    from nncompress.runs.decoding import DecodingChoices, decode

    choices = DecodingChoices(
        num_codebooks=arguments.M,
        num_codewords=arguments.K,
        vocabulary=arguments.vocab_path,
        matrix=arguments.matrix,
        limit=arguments.limit,
        batch_size=arguments.batch_size,
        refined=arguments.refine,
        weights=arguments.weights,
        refinement=RefinementSettings(seconds=arguments.time_budget),
        codebook_dtype=arguments.codebook_dtype,
    )
    machine = Machine(arguments.gpu, arguments.threads)
    decoded = decode(arguments.model, started, machine, choices)
    say(f"Mean euclidean distance: {decoded.distance:.9g}")
    tell_next(after_table(decoded.embedding, load_table(decoded.embedding)))
    return decoded.distance
