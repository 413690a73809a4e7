"""Arguments that set what a table is compressed to, and the machine to compute on."""

import argparse
from typing import TYPE_CHECKING

from nncompress.cli.paths import add_output, named
from nncompress.training.settings import RECIPES

if TYPE_CHECKING:
    from nncompress.plan import Plan

EFFORTS = ("quick", "default", "thorough")


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of a plan."""
    add = parser.add_argument
    add("-M", "--M", type=int, dest="num_codebooks",
        help="number of codebooks of additive codes (default with -K: 32)")  # fmt: skip
    add("-K", "--K", type=int, dest="num_codewords",
        help="codewords in each (default with -M: 16)")  # fmt: skip
    add("--residual-bits", type=float, metavar="BITS",
        help="most bits a row for what additive codes leave over, or for whole rows")  # fmt: skip
    add(
        "--bits-per-dim",
        type=float,
        metavar="BITS",
        help="most bits a number, everything included",
    )
    for name, what in (
        ("bytes-per-row", "most bytes a row, everything but words included"),
        ("distance", "largest mean Euclidean distance"),
        ("cosine", "smallest mean cosine"),
        ("recall", "smallest share of each row's 10 nearest rows to keep (default: 0.9)"),
    ):
        add(f"--target-{name}", type=float, help=what)
    add("--adaptive", action="store_true",
        help="give rows bits by their weights; without --weights, keep short rows as closely, for "
        "their length, as long ones")  # fmt: skip
    add_output(parser, "--curve", metavar="FILE",
        help="write the measured curve: .png, .pdf, .svg or .json")  # fmt: skip
    add("--objective", choices=("distance", "cosine"), default="distance", help="what to keep")
    add("--recipe", choices=list(RECIPES), help="of additive codes (default: fast)")
    add(
        "-e",
        "--epoch",
        type=int,
        dest="epochs",
        help="passes over the rows for additive codes (default: the recipe chooses)",
    )
    add("--time-budget", type=float,
        help="seconds for additive codes, including training (default: no limit)")  # fmt: skip
    add("--codebook-dtype", choices=("auto", "float16", "float32", "int8"),
        help="codebook's type (default: float16 if that costs next to nothing)")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of everything random (default: 0)")


def plan_of(
    arguments: argparse.Namespace, *, has_weights: bool = False, by_frequency: bool = False
) -> "Plan":
    """Returns the plan that the arguments ask for.

    Raises:
        InputError: Something is out of range, or does not go with the rest.
    """
    from nncompress.plan import Plan

    return Plan.of(
        num_codebooks=arguments.num_codebooks,
        num_codewords=arguments.num_codewords,
        residual_bits=arguments.residual_bits,
        bits_per_dim=arguments.bits_per_dim,
        bytes_per_row=arguments.target_bytes_per_row,
        distance=arguments.target_distance,
        cosine=arguments.target_cosine,
        recall=arguments.target_recall,
        adaptive=arguments.adaptive,
        objective=arguments.objective,
        recipe=arguments.recipe,
        epochs=arguments.epochs,
        time_budget=arguments.time_budget,
        codebook_dtype=arguments.codebook_dtype,
        seed=arguments.seed,
        has_weights=has_weights,
        by_frequency=by_frequency,
    )


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that set where to compute."""
    add = parser.add_argument
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU; -1, the default: the CPU")
    add("--threads", type=int, help="threads on the CPU (default: all usable cores)")


def add_work(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds the argument that names a work directory."""
    parser.add_argument(
        "--work", type=named, metavar="DIR",
        help="a directory for intermediate results, with which the same command continues after "
        f"an interruption{more}",
    )  # fmt: skip


def add_effort(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds the argument that sets how hard to search for codes."""
    parser.add_argument(
        "--effort", choices=EFFORTS, default=default,
        help=f"how hard to search for additive codes (default: {default})",
    )  # fmt: skip


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for Dask's scheduler."""
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="have Dask's workers encode: a scheduler's address, or local:PROCESSES",
    )  # fmt: skip
