#!/usr/bin/env python
"""Train the compositional autoencoder on an embedding matrix."""

import argparse
from datetime import datetime
from pathlib import Path

from nncompress.cli import errors
from nncompress.errors import InputError
from nncompress.training.settings import MATRIX_DTYPES, OBJECTIVES, OPTIMIZERS, RECIPES

DEFAULT_MATRIX = Path("data/glove.6B.300d.npy")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line; None marks what was not given."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python train_comp.py --M 32 --K 16 --input-matrix data/glove.6B.50d.npy",
    )
    add = parser.add_argument
    add("-b", "--batchsize", type=int, help="rows a step (default: 64)")
    add("-e", "--epoch", type=int, help="passes over the rows (fast: chosen, paper: 200)")
    add("-g", "--gpu", type=int, help="number of the GPU; -1, the default, is the CPU")
    add(
        "--fp32",
        action="store_const",
        const=True,
        dest="full_precision",
        help="on a GPU: products with all of float32's digits (default: TF32's)",
    )
    add(
        "--matrix-dtype",
        choices=MATRIX_DTYPES,
        help="on a GPU: type of the matrix there (default: float32)",
    )
    add("-r", "--resume", type=Path, metavar="RUN", help="run directory to continue")
    add("-O", "--optimizer", choices=OPTIMIZERS, help="(default: Adam)")
    add("--learning-rate", "--lr", type=float, help="(fast: 5e-3 at its peak, paper: 1e-4)")
    add("-M", "--M", type=int, dest="num_codebooks", help="number of codebooks (default: 32)")
    add("-K", "--K", type=int, dest="num_codewords", help="codewords in each (default: 16)")
    add("--tau", type=float, help="final temperature; alone, the temperature of every step")
    add("--tau-start", type=float, help="temperature of the first step")
    add("--max-grad-norm", type=float, help="clip gradients to this global norm")
    add("--input-matrix", type=Path, help=f"matrix in a .npy file (default: {DEFAULT_MATRIX})")
    add("--limit", type=int, help="use only the first n rows")
    add("--weights", type=Path, help="weights of the rows: .npy, or text with a number a line")
    add(
        "--objective",
        choices=OBJECTIVES,
        help="what to keep small; cosine keeps the rows' directions alone (default: distance)",
    )
    for name, what in (
        ("bytes-per-row", "choose M and K: most bytes a row, codes and codebook together"),
        ("distance", "choose M and K: largest mean Euclidean distance"),
        ("cosine", "choose M and K: smallest mean cosine"),
    ):
        add(f"--target-{name}", type=float, help=what)
    add("--seed", type=int, help="seed of everything random (default: 0)")
    add("-o", "--out", type=Path, help="where run directories go (default: result)")
    add("--dir-prefix", help="a word in the run directory's name (default: model)")
    add("--threads", type=int, help="threads on the CPU (default: all usable cores)")
    add("--recipe", choices=list(RECIPES), help="(default: fast)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Path:
    """Runs the command and returns the run directory."""
    arguments = parse_arguments(argv)
    started = datetime.now()
    if arguments.resume is None and arguments.input_matrix is None and not DEFAULT_MATRIX.exists():
        raise InputError(
            f"{DEFAULT_MATRIX} does not exist; get it with scripts/download_glove_data.sh and "
            "python scripts/convert_glove2numpy.py data/glove.6B.300d.txt, or name another "
            "matrix with --input-matrix"
        )

    from nncompress.training.run import prepare_run

    run = prepare_run(arguments, DEFAULT_MATRIX, started)
    run.train(started)
    return run.directory


if __name__ == "__main__":
    errors.run(main)
