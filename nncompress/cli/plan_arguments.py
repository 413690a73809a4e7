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
    add = parser.add_argument_group("size or quality", "one of these numbers at most").add_argument
    add("--bits-per-dim", type=float, metavar="BITS",
        help="most bits per dimension, everything but words included")  # fmt: skip
    for name, metavar, what in (
        ("bytes-per-row", "BYTES", "most bytes per row, everything but words included"),
        ("recall", "SHARE", "smallest share of each row's 10 nearest rows to keep (default: 0.9)"),
        ("cosine", "COSINE", "smallest mean cosine"),
        ("distance", "DISTANCE", "largest mean Euclidean distance"),
    ):
        add(f"--target-{name}", type=float, metavar=metavar, help=what)
    add("--residual-bits", type=float, metavar="BITS",
        help="most bits per row for what additive codes leave over, or for whole "
        "rows")  # fmt: skip
    parser.add_argument("--adaptive", action="store_true",
        help="give rows bits by their weights; without --weights, keep short rows as closely, for "
        "their length, as long ones")  # fmt: skip
    parser.add_argument("--objective", choices=("distance", "cosine"), default="distance",
        help="what to keep: rows, or only their directions (default: distance)")  # fmt: skip
    add_output(parser, "--curve", metavar="FILE",
        help="write the measured curve: .png, .pdf, .svg or .json")  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of everything random (default: 0)"
    )
    add = parser.add_argument_group(
        "additive codes", "instead of a trellis; these take the extra train (Chainer)"
    ).add_argument
    add("-M", "--M", type=int, dest="num_codebooks", metavar="M",
        help="number of codebooks (default with -K: 32)")  # fmt: skip
    add("-K", "--K", type=int, dest="num_codewords", metavar="K",
        help="codewords in each codebook (default with -M: 16)")  # fmt: skip
    add("--recipe", choices=list(RECIPES), help="settings of training (default: fast)")
    add("-e", "--epoch", type=int, dest="epochs", metavar="EPOCHS",
        help="passes over the rows (default: the recipe chooses)")  # fmt: skip
    add("--time-budget", type=float, metavar="SECONDS",
        help="time for training, encoding and refinement (default: no limit)")  # fmt: skip
    add("--codebook-dtype", choices=("auto", "float16", "float32", "int8"),
        help="type of the codebook (default: float16 if that costs next to nothing)")  # fmt: skip


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
    add = parser.add_argument_group("machine").add_argument
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU (default: -1, the CPU)")
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
