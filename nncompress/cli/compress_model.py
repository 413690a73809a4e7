"""Compressing a model's folder, as ``nncompress compress`` does where it is given one."""

import argparse
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.cli.next_steps import after_folder
from nncompress.cli.plan_arguments import plan_of
from nncompress.cli.printing import format_bytes, format_seconds, print_facts
from nncompress.errors import InputError
from nncompress.progress import report

if TYPE_CHECKING:
    from nncompress.machine import Machine
    from nncompress.models.compressing import CompressedModel
    from nncompress.models.model_gate import ModelGate
    from nncompress.plan import Plan

# Arguments that only a table has, and their values when they are not given.
_OF_TABLES = {
    "words": None, "tensor": None, "limit": None, "prune": False, "work": None, "curve": None,
}  # fmt: skip

_OF_VERSIONS = ".0123456789"  # what follows the last dot of a model's name, as in v1.5


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that only a model's folder has."""
    add = parser.add_argument_group("model folders").add_argument
    add("--head", action="append", default=[], metavar="TENSOR",
        help="name of an output layer's tensor to compress too; one that shares the input "
        "embeddings needs no flag, and still shares them")  # fmt: skip
    add("--untie", action="store_true",
        help="keep an output layer that shares the input embeddings uncompressed, which adds a "
        "matrix")  # fmt: skip


def refuse_model_arguments(arguments: argparse.Namespace) -> None:
    """Refuses arguments that only a model's folder has.

    Raises:
        InputError: Some were given.
    """
    for name in ("head", "untie"):
        if getattr(arguments, name):
            raise InputError(
                f"--{name} is for a model's folder that becomes a folder, and {arguments.input} "
                f"becomes the file {arguments.output}; leave it out"
            )


def refuse_missing_folder(arguments: argparse.Namespace) -> None:
    """Refuses what is meant for a model's folder by its name, but is none.

    Raises:
        InputError: It is a path with nothing at it, or the output's name is a folder's.
    """
    from nncompress.models.folder import NOT_DOWNLOADED
    from nncompress.sources.places import is_url

    source = arguments.input
    is_file = arguments.output.suffix == ".nnc" or Path(source).suffix.strip(_OF_VERSIONS)
    is_inside_zip = any(parent.suffix == ".zip" for parent in Path(source).parents)
    is_elsewhere = is_url(source) or is_inside_zip or os.path.lexists(source)
    if not is_elsewhere and (arguments.is_folder or not is_file):
        raise InputError(
            f"{source} does not exist; wanted a file of word vectors or a model's folder "
            f"{NOT_DOWNLOADED}"
        )
    if arguments.is_folder:
        raise InputError(
            f"{arguments.output}{os.sep} is to be a folder, but {source} is no model's folder; "
            "wanted the name of a file, such as vectors.nnc"
        )


def is_for_model(arguments: argparse.Namespace) -> bool:
    """Returns whether to compress a folder to a folder, instead of one table to a file."""
    from nncompress.models.folder import is_model_folder

    return arguments.output.suffix != ".nnc" and is_model_folder(arguments.input)


def run_model(arguments: argparse.Namespace) -> None:
    """Compresses a model's folder.

    Raises:
        InputError: An argument cannot be used.
        NotGoodEnough: The result falls short of the requirements.
        OutputError: The folder cannot be written.
    """
    from nncompress.evaluate.requirements import Requirements
    from nncompress.machine import Machine
    from nncompress.models.compressing import compress_folder
    from nncompress.models.evaluation import Tasks
    from nncompress.models.model_gate import ModelGate
    from nncompress.sources.frequencies import has_frequencies
    from nncompress.sources.weights import load_weights

    for name, unset in _OF_TABLES.items():
        if getattr(arguments, name) != unset:
            raise InputError(
                f"--{name} is for a table, and {arguments.input} is a model's folder; leave it "
                "out, or write one of its tables to a file that ends in .nnc"
            )
    tasks = Tasks(tuple(arguments.pairs or ()), arguments.sts, arguments.text)
    gate = ModelGate(Requirements.parse(arguments.require), arguments.find, tasks)
    plan = plan_of(
        arguments, has_weights=arguments.weights is not None,
        by_frequency=has_frequencies(arguments.frequencies, arguments.corpus, False),
    )  # fmt: skip
    machine = Machine(arguments.gpu, arguments.threads)
    if arguments.dry_run:
        _tell(arguments, plan, machine, gate)
        return
    model = compress_folder(
        arguments.input, arguments.output, plan, machine, gate,
        heads=tuple(arguments.head), untie=arguments.untie,
        weights=None if arguments.weights is None else load_weights(arguments.weights),
        frequencies=arguments.frequencies, corpus=arguments.corpus,
        report=None if arguments.json else report,
    )  # fmt: skip
    _print(arguments, model)


def _print(arguments: argparse.Namespace, model: "CompressedModel") -> None:
    (table_before, table_after), (before, after) = model.table_bytes, model.folder_bytes
    if after > before:
        warnings.warn(
            f"the folder grew from {format_bytes(before)} to {format_bytes(after)}, by the matrix "
            "of the output layer; leave --untie out, and ask for more bits where it suffers",
            stacklevel=2,
        )
    facts: dict[str, object] = {
        "tables": [
            {"tensor": slot.tensor, "rows": slot.num_rows, "columns": slot.dim,
             "bits_per_dim": 8 * size / (slot.num_rows * slot.dim)}
            for slot, size in model.sizes.items()
        ],
        "table_bytes": table_after, "table_bytes_before": table_before,
        "folder_bytes": after, "folder_bytes_before": before,
        "shared_with": list(model.shared_with), "untied": model.untied,
        "quality": model.report.facts,
    }  # fmt: skip
    lines = {
        slot.tensor: f"{slot.num_rows:,} x {slot.dim:,}, {size:,} bytes, "
        f"{8 * size / (slot.num_rows * slot.dim):.4g} bits a dimension"
        for slot, size in model.sizes.items()
    }
    for name in model.shared_with:
        lines[name] = "as it was" if model.untied else "shares the rows"
    lines |= model.report.lines
    lines["tables"] = f"{format_bytes(table_after)} of {format_bytes(table_before)}"
    lines["folder"] = f"{format_bytes(after)} of {format_bytes(before)}"
    print_facts(arguments, facts, lines, after_folder(arguments.output))


def _tell(
    arguments: argparse.Namespace, plan: "Plan", machine: "Machine", gate: "ModelGate"
) -> None:
    """Prints the expected size, time and memory."""
    from nncompress.models.forecast import forecast_model
    from nncompress.sources.weights import load_weights

    if gate.requirements or gate.tasks.flags:
        raise InputError(
            "a dry run measures nothing; leave out --dry-run, or --require, --find, --pairs, "
            "--sts and --text"
        )
    weights = None if arguments.weights is None else load_weights(arguments.weights)
    expected, before, after = forecast_model(
        Path(arguments.input), arguments.output, plan, machine,
        heads=tuple(arguments.head), untie=arguments.untie, weights=weights,
        frequencies=arguments.frequencies, corpus=arguments.corpus,
    )  # fmt: skip
    facts: dict[str, object] = {
        "table_bytes": expected.file_bytes,
        "folder_bytes": after,
        "folder_bytes_before": before,
        "seconds": round(expected.seconds, 1),
        "memory_bytes": expected.memory_bytes,
    }
    lines = {
        "tables": f"{format_bytes(expected.file_bytes)} of "
        f"{format_bytes(expected.source_bytes)} in float32",
        "folder": f"{format_bytes(after)} of {format_bytes(before)}",
        "time": "about " + format_seconds(expected.seconds),
        "memory": "about " + format_bytes(expected.memory_bytes),
    }
    print_facts(arguments, facts, lines)
