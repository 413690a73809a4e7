"""Arguments that say what a result has to reach, and on what that is measured."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.errors import InputError

if TYPE_CHECKING:
    from nncompress.evaluate.table_gate import TableGate


def add_gate(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the quality gate."""
    parser.add_argument(
        "--require", metavar="NAME=NUMBER,...",
        help="write nothing unless the result reaches this: error, cosine, cosine_worst, recall, "
        "pairs, sts, perplexity or kl",
    )  # fmt: skip
    parser.add_argument(
        "--find", action="store_true", help="search the smallest size that reaches --require"
    )
    add_tasks(parser)


def add_tasks(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds the arguments that name the data of tasks."""
    parser.add_argument(
        "--pairs", type=Path, action="append", metavar="FILE",
        help=f"word similarity: two words and a number a line, with tabs between them{more}",
    )  # fmt: skip
    parser.add_argument(
        "--sts", type=Path, metavar="FILE.csv",
        help="sentence similarity of a model's folder: two sentences and a score a line",
    )  # fmt: skip
    parser.add_argument(
        "--text", type=Path, metavar="FILE",
        help="perplexity and KL divergence of a language model's folder on a text",
    )  # fmt: skip


def table_gate_of(arguments: argparse.Namespace) -> "TableGate":
    """Returns the gate of a table that arguments ask for.

    Raises:
        InputError: Something cannot be measured of a table, or is out of its range.
    """
    from nncompress.evaluate.requirements import Requirements
    from nncompress.evaluate.table_gate import TableGate

    refuse_model_tasks(arguments)
    requirements = Requirements.parse(arguments.require)
    return TableGate(requirements, arguments.find, arguments.pairs or [])


def refuse_model_tasks(arguments: argparse.Namespace) -> None:
    """Refuses data of tasks that a table of vectors cannot be put to.

    Raises:
        InputError: There is some.
    """
    for flag in ("sts", "text"):
        if getattr(arguments, flag) is not None:
            raise InputError(
                f"--{flag} is for a model's folder, and a table of vectors was given; leave it "
                "out, or use --pairs"
            )
