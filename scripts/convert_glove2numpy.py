#!/usr/bin/env python
"""Convert word vectors in GloVe or word2vec text, gzip too, to a .npy matrix and a .word file."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

from nncompress.cli import errors
from nncompress.sources.text_vectors import convert_text


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python scripts/convert_glove2numpy.py data/glove.6B.300d.txt",
    )
    parser.add_argument(
        "path",
        type=Path,
        help="word vectors, one token and its numbers per line; existing .npy and .word files "
        "with other content are not replaced",
    )
    parser.add_argument(
        "--dim", type=int, help="numbers in a row; a file with another number is refused"
    )
    arguments = parser.parse_args(argv)
    matrix_path, word_path, shape = convert_text(arguments.path, arguments.dim)
    print(f"{matrix_path}: {shape[0]:,} rows of {shape[1]} columns, float32")
    print(f"{word_path}: {shape[0]:,} tokens")


if __name__ == "__main__":
    errors.run(main)
