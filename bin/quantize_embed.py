#!/usr/bin/env python
"""Train, evaluate and export an embedding quantization, as the paper authors' command does."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress import EmbeddingCompressor
from nncompress.cli import errors
from nncompress.errors import InputError
from nncompress.sources import EmbeddingMatrix
from nncompress.training.settings import RECIPES


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python bin/quantize_embed.py -M 32 -K 16 --train --evaluate --export "
        "--matrix data/glove.6B.300d.npy --model data/mymodel",
    )
    add = parser.add_argument
    add("--matrix", type=Path, required=True, help="embedding matrix in a .npy file")
    add("--model", type=Path, required=True, help="path of the model, without extension")
    add("--limit", type=int, default=50_000, help="first n rows; 0 for all (default: 50000)")
    add("-M", type=int, default=32, help="number of codebooks (default: 32)")
    add("-K", type=int, default=16, help="codewords in each (default: 16)")
    add("--recipe", choices=list(RECIPES), default="fast", help="(default: fast)")
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU; -1, the default: the CPU")
    add("--threads", type=int, help="threads on the CPU (default: all usable cores)")
    add("--train", action="store_true", help="train, and write MODEL.npz")
    add("--evaluate", action="store_true", help="print the mean Euclidean distance")
    add("--export", action="store_true", help="write MODEL.codes and MODEL.codebook.npy")
    arguments = parser.parse_args(argv)
    if not (arguments.train or arguments.evaluate or arguments.export):
        parser.error("nothing to do; wanted --train, --evaluate or --export, or several of them")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    arguments = parse_arguments(argv)
    if arguments.limit < 0:
        raise InputError(f"the limit on rows is {arguments.limit}; wanted 0 for all, or more")
    compressor = EmbeddingCompressor(
        arguments.M,
        arguments.K,
        arguments.model,
        device=arguments.gpu,
        threads=arguments.threads,
    )
    matrix = EmbeddingMatrix.open(arguments.matrix, arguments.limit or None)
    if arguments.train:
        compressor.train(matrix, recipe=arguments.recipe)
        print("Training Done")
    if arguments.evaluate:
        print(f"Mean euclidean distance: {compressor.evaluate(matrix):.9g}")
    if arguments.export:
        compressor.export(matrix, arguments.model)


if __name__ == "__main__":
    errors.run(main)
