"""Compress a table of vectors."""

import argparse
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.cli.info import print_info
from nncompress.cli.printing import add_json, add_source, format_bytes, format_seconds, print_facts
from nncompress.errors import InputError, Interrupted
from nncompress.formats.files import check_output
from nncompress.training.settings import RECIPES

if TYPE_CHECKING:
    from nncompress.forecast import Forecast
    from nncompress.plan import Plan

EXAMPLE = "glove.6B.300d.txt glove.nnc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add_source(
        parser,
        "input",
        "text, word2vec .bin, .npy, .safetensors, Hugging Face folder, Zarr or "
        "Parquet, here or at a URL",
    )
    add("output", type=Path, help="the .nnc file to write, which replaces one that is there")
    add("-M", "--M", type=int, dest="num_codebooks",
        help="codebooks of additive codes (default with -K: 32)")  # fmt: skip
    add("-K", "--K", type=int, dest="num_codewords",
        help="codewords in each (default with -M: 16)")  # fmt: skip
    add("--residual-bits", type=float, metavar="BITS",
        help="most bits a row for what additive codes leave, or for whole rows")  # fmt: skip
    add("--bits-per-dim", type=float, metavar="BITS", help="most bits a number, all counted")
    for name, what in (
        ("bytes-per-row", "most bytes a row, all counted but words"),
        ("distance", "largest mean Euclidean distance"),
        ("cosine", "smallest mean cosine"),
        ("recall", "smallest share of the 10 nearest rows kept (default: 0.9)"),
    ):
        add(f"--target-{name}", type=float, help=what)
    add("--adaptive", action="store_true",
        help="bits by weight; without --weights, short rows kept as long ones are")  # fmt: skip
    add("--curve", type=Path, metavar="FILE",
        help="write the curve that was measured: .png, .pdf, .svg or .json")  # fmt: skip
    add("--limit", type=int, help="use only the first n rows")
    add("--objective", choices=("distance", "cosine"), default="distance", help="what to keep")
    add("--weights", type=Path, help="weights of the rows: .npy, or text with a number a line")
    add("--recipe", choices=list(RECIPES), help="of additive codes (default: fast)")
    add(
        "-e",
        "--epoch",
        type=int,
        dest="epochs",
        help="passes over the rows for additive codes (default: the recipe chooses)",
    )
    add("--time-budget", type=float,
        help="seconds for additive codes, training and all (default: no limit)")  # fmt: skip
    add("--codebook-dtype", choices=("auto", "float16", "float32", "int8"),
        help="(default: float16 where that costs next to nothing)")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    add("-g", "--gpu", type=int, default=-1, help="number of the GPU; -1, the default: the CPU")
    add("--threads", type=int, help="threads on the CPU (default: all usable cores)")
    add("--work", type=Path, metavar="DIR",
        help="keep what is computed there, so that the same command continues it")  # fmt: skip
    add("--dry-run", action="store_true", help="print the expected size, time and memory only")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Something given cannot be used.
        OutputError: The file cannot be written.
    """
    from nncompress.evaluate.curve_file import check_curve, write_curve
    from nncompress.forecast import forecast
    from nncompress.job import open_work
    from nncompress.machine import Machine
    from nncompress.pipeline import compress_table
    from nncompress.sources.tables import files_of, open_table
    from nncompress.sources.weights import check_weights, load_weights

    plan = _plan(arguments)
    machine = Machine(arguments.gpu, arguments.threads)
    weights = None if arguments.weights is None else load_weights(arguments.weights)
    inputs = [*files_of(arguments.input), arguments.words, arguments.weights]
    if not arguments.dry_run or arguments.output.parent.is_dir():  # a dry run makes none
        check_output(arguments.output, inputs)
    check_curve(arguments.curve, plan.has_residual, inputs)
    if arguments.dry_run and arguments.work is not None:
        raise InputError("a dry run keeps no work; leave --dry-run or --work out")
    with (
        _continuable(arguments.work),
        open_work(
            arguments.work, arguments.output, plan, machine,
            {"limit": arguments.limit, "tensor": arguments.tensor},
        ) as work,
        open_table(
            arguments.input, words=arguments.words, tensor=arguments.tensor,
            limit=arguments.limit, unit_rows=plan.objective == "cosine", work=work,
        ) as table,
    ):  # fmt: skip
        if weights is not None:
            weights = check_weights(weights, table.matrix, str(arguments.weights))
        if arguments.dry_run:
            expected = forecast(table, plan, machine, weights)
            if arguments.curve is not None:
                write_curve(arguments.curve, expected.choice.points, expected.choice.point)
            _print_forecast(arguments, expected)
            return
        embedding = compress_table(
            table, arguments.output, plan, machine, weights=weights,
            report=None if arguments.json else print, curve=arguments.curve, work=work,
        )  # fmt: skip
    print_info(arguments, arguments.output, embedding)


def _plan(arguments: argparse.Namespace) -> "Plan":
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
        has_weights=arguments.weights is not None,
    )


@contextmanager
def _continuable(work: Path | None) -> Iterator[None]:
    """Has an interruption say how the work goes on."""
    try:
        yield
    except KeyboardInterrupt as error:
        if work is None:
            raise
        number = error.signal if isinstance(error, Interrupted) else signal.SIGINT
        command = shlex.join(["nncompress", *sys.argv[1:]])
        raise Interrupted(number, f"interrupted; continue with: {command}") from None


def _print_forecast(arguments: argparse.Namespace, expected: "Forecast") -> None:
    facts: dict[str, object] = {
        "file_bytes": expected.file_bytes,
        "source_bytes": expected.source_bytes,
        "seconds": round(expected.seconds, 1),
        "memory_bytes": expected.memory_bytes,
    }
    lines = {
        "file": format_bytes(expected.file_bytes),
        "of": format_bytes(expected.source_bytes) + " in float32",
        "time": "about " + format_seconds(expected.seconds),
        "memory": "about " + format_bytes(expected.memory_bytes),
    }
    if expected.choice is not None:
        from nncompress.evaluate.curve import HEADING

        facts["curve"] = [point.facts for point in expected.choice.points]
        if not arguments.json:
            print("\n".join([HEADING, *map(str, expected.choice.points)]))
    print_facts(arguments, facts, lines)
