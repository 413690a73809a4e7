"""Compress a table of vectors."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.cli.continuation import continuable
from nncompress.cli.info import print_info
from nncompress.cli.plan_arguments import add_machine, add_plan, add_work, plan_of
from nncompress.cli.printing import add_json, add_source, format_bytes, format_seconds, print_facts
from nncompress.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from nncompress.forecast import Forecast
    from nncompress.machine import Machine
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
    add_plan(parser)
    add("--limit", type=int, help="use only the first n rows")
    add("--weights", type=Path, help="weights of the rows: .npy, or text with a number a line")
    add_machine(parser)
    add_work(parser)
    add("--dry-run", action="store_true", help="print the expected size, time and memory only")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Something given cannot be used.
        OutputError: The file cannot be written.
    """
    from nncompress.compressing import compress_source
    from nncompress.machine import Machine
    from nncompress.sources.weights import load_weights

    plan = plan_of(arguments, has_weights=arguments.weights is not None)
    machine = Machine(arguments.gpu, arguments.threads)
    weights = None if arguments.weights is None else load_weights(arguments.weights)
    table = {
        "source": arguments.input, "words": arguments.words, "tensor": arguments.tensor,
        "limit": arguments.limit,
    }  # fmt: skip
    if arguments.dry_run:
        _tell(arguments, table, plan, machine, weights)
        return
    # A large table's work is kept in any case.
    with continuable(arguments.work or Path(f"{arguments.output}.work")):
        embedding = compress_source(
            table, arguments.output, plan, machine,
            weights=weights, weights_name=str(arguments.weights),
            report=None if arguments.json else print, curve=arguments.curve, work=arguments.work,
        )  # fmt: skip
    print_info(arguments, arguments.output, embedding)


def _tell(
    arguments: argparse.Namespace,
    table: dict[str, object],
    plan: "Plan",
    machine: "Machine",
    weights: "np.ndarray | None",
) -> None:
    """Prints what compressing would take."""
    from nncompress.compressing import check_files, opened
    from nncompress.evaluate.curve_file import write_curve
    from nncompress.forecast import forecast, forecast_large
    from nncompress.sources.weights import check_weights

    if arguments.work is not None:
        raise InputError("a dry run keeps no work; leave --dry-run or --work out")
    there = arguments.output.parent.is_dir()  # a dry run makes no directory
    check_files(table, arguments.output if there else None, plan, arguments.curve)
    with opened(table, plan, machine, None, None) as (rows, small, _):
        if small is None:
            expected = forecast_large(rows, plan, machine)
        else:
            if weights is not None:
                weights = check_weights(weights, small.matrix, str(arguments.weights))
            expected = forecast(small, plan, machine, weights)
    if arguments.curve is not None:
        write_curve(arguments.curve, expected.choice.points, expected.choice.point)
    _print_forecast(arguments, expected)


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
