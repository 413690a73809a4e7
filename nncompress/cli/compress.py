"""Compress a table of vectors, or the tables of a model's folder."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nncompress.cli.compress_model import (
    add_model_arguments,
    is_for_model,
    refuse_missing_folder,
    refuse_model_arguments,
    run_model,
)
from nncompress.cli.continuation import continuable
from nncompress.cli.gate_arguments import add_gate, table_gate_of
from nncompress.cli.next_steps import after_table
from nncompress.cli.paths import add_output, file_or_folder, readable, source
from nncompress.cli.plan_arguments import add_machine, add_plan, add_work, plan_of
from nncompress.cli.printing import add_json, add_source, format_bytes, format_seconds, print_facts
from nncompress.cli.table_summary import print_summary
from nncompress.errors import InputError
from nncompress.progress import report

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
        "text, word2vec or fastText .bin, floret text, .npy, .npz, .safetensors, Hugging Face "
        "folder, Zarr or Parquet, here or at a URL; - for standard input",
        type=source,
    )
    add_output(parser, "output", type=file_or_folder, action=_Output,
        help="the .nnc file to write, which replaces an existing one, or - for standard output; "
        "for a model's folder, the folder to write, or with a name "
        "in .nnc its table alone")  # fmt: skip
    add("--limit", type=int, metavar="N",
        help="use only the first N rows, or N words of a fastText model")  # fmt: skip
    add("--prune", action="store_true",
        help="for fastText models: leave out rows of n-grams that occur in no word")  # fmt: skip
    add("--dry-run", action="store_true", help="print the expected size, time and memory only")
    add_work(parser)
    add_plan(parser)
    group = parser.add_argument_group("frequent rows")
    group.add_argument("--corpus", type=readable, metavar="TEXT",
        help="a text in which words or tokens are counted: the more frequent a row, the more "
        "closely it is kept; with --prune, the n-grams of its words are kept, too")  # fmt: skip
    group.add_argument("--frequencies", type=readable, metavar="FILE",
        help="a word and its count on each line, instead of a text")  # fmt: skip
    group.add_argument("--weights", type=readable, metavar="FILE",
        help="weights of the rows: .npy, or a number on each line")  # fmt: skip
    add_gate(parser)
    add_model_arguments(parser)
    add_machine(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
        NotGoodEnough: The result falls short of the requirements.
        OutputError: The file cannot be written.
    """
    from nncompress.compressing import compress_source
    from nncompress.machine import Machine
    from nncompress.opening import extras_of_tokens
    from nncompress.sources.frequencies import has_frequencies
    from nncompress.sources.weights import load_weights

    if is_for_model(arguments):
        run_model(arguments)
        return
    refuse_missing_folder(arguments)
    refuse_model_arguments(arguments)
    gate = table_gate_of(arguments)
    plan = plan_of(
        arguments, has_weights=arguments.weights is not None,
        by_frequency=has_frequencies(arguments.frequencies, arguments.corpus, arguments.prune),
    )  # fmt: skip
    machine = Machine(arguments.gpu, arguments.threads)
    weights = None if arguments.weights is None else load_weights(arguments.weights)
    table = {
        "source": arguments.input, "words": arguments.words, "tensor": arguments.tensor,
        "limit": arguments.limit, "prune": arguments.prune, "corpus": arguments.corpus,
    }  # fmt: skip
    if arguments.dry_run:
        _tell(arguments, table, plan, machine, weights)
        return
    # A large table's work is kept in any case.
    with continuable(arguments.work or Path(f"{arguments.output}.work")):
        embedding = compress_source(
            table, arguments.output, plan, machine,
            weights=weights, weights_name=str(arguments.weights),
            frequencies=arguments.frequencies, extras=extras_of_tokens(table),
            report=None if arguments.json else report, curve=arguments.curve, work=arguments.work,
            gate=gate,
        )  # fmt: skip
    flags = ((f"--{name}", getattr(arguments, name)) for name in ("words", "tensor"))
    given = [part for flag, value in flags if value is not None for part in (flag, value)]
    next_lines = after_table(arguments.output, embedding, arguments.input, *given)
    assert gate.report is not None  # whatever is written has been measured
    print_summary(arguments, arguments.output, embedding, gate.report, next_lines)


class _Output(argparse.Action):
    """Keeps the path to write, and whether it is a folder by its name, as in ``out/``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        namespace.output, namespace.is_folder = values


def _tell(
    arguments: argparse.Namespace,
    table: dict[str, object],
    plan: "Plan",
    machine: "Machine",
    weights: "np.ndarray | None",
) -> None:
    """Prints the expected size, time and memory."""
    from nncompress.evaluate.curve_file import write_curve
    from nncompress.forecast import forecast_source
    from nncompress.opening import check_files

    if arguments.work is not None:
        raise InputError("a dry run has no work to keep; leave out --dry-run or --work")
    if arguments.require is not None or arguments.pairs:
        raise InputError(
            "a dry run measures nothing; leave out --dry-run, or --require, --find and --pairs"
        )
    there = arguments.output.parent.is_dir()  # a dry run makes no directory
    check_files(
        table, arguments.output if there else None, plan, arguments.curve, arguments.frequencies
    )
    expected = forecast_source(
        table, plan, machine,
        weights=weights, weights_name=str(arguments.weights), frequencies=arguments.frequencies,
    )  # fmt: skip
    if arguments.curve is not None and expected.choice is not None:
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
        "original": format_bytes(expected.source_bytes) + " in float32",
        "time": "about " + format_seconds(expected.seconds),
        "memory": "about " + format_bytes(expected.memory_bytes),
    }
    if expected.choice is not None:
        from nncompress.evaluate.curve import HEADING

        facts["curve"] = [point.facts for point in expected.choice.points]
        if not arguments.json:
            print("\n".join([HEADING, *map(str, expected.choice.points)]))
    print_facts(arguments, facts, lines)
