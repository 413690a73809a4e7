"""Arguments that set what a result has to reach, and on which data that is measured."""

import argparse
from typing import TYPE_CHECKING

from nncompress.cli.paths import named
from nncompress.errors import InputError

if TYPE_CHECKING:
    from nncompress.evaluate.table_gate import TableGate


def add_gate(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the quality gate."""
    group = parser.add_argument_group("requirements")
    group.add_argument(
        "--require", metavar="NAME=NUMBER,...",
        help="write nothing unless the result meets this: error, cosine, cosine_worst, recall, "
        "pairs, sts, perplexity or kl",
    )  # fmt: skip
    group.add_argument(
        "--find", action="store_true", help="find the smallest size that meets --require"
    )
    add_tasks(parser)


def add_tasks(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds the arguments that name the data of tasks."""
    group = parser.add_argument_group("tasks", "measured with the original and the result")
    group.add_argument(
        "--pairs", type=named, action="append", metavar="FILE",
        help=f"word similarity: two words and a number on each line, separated by tabs{more}",
    )  # fmt: skip
    group.add_argument(
        "--sts", type=named, metavar="FILE.csv",
        help="sentence similarity, for a model's folder: two sentences and a score on each line",
    )  # fmt: skip
    group.add_argument(
        "--text", type=named, metavar="FILE",
        help="a text for the perplexity and KL divergence of a language model's folder",
    )  # fmt: skip


def table_gate_of(arguments: argparse.Namespace) -> "TableGate":
    """Returns the gate for a table that the arguments ask for.

    Raises:
        InputError: Something cannot be measured of a table, or is out of its range.
    """
    from nncompress.evaluate.requirements import Requirements
    from nncompress.evaluate.table_gate import TableGate

    refuse_model_tasks(arguments)
    requirements = Requirements.parse(arguments.require)
    return TableGate(requirements, arguments.find, arguments.pairs or [])


def refuse_model_tasks(arguments: argparse.Namespace) -> None:
    """Refuses the data of tasks that only models can do.

    Raises:
        InputError: Some was given.
    """
    for flag in ("sts", "text"):
        if getattr(arguments, flag) is not None:
            raise InputError(
                f"--{flag} is for a model's folder, and a table of vectors was given; leave it "
                "out, or use --pairs"
            )
