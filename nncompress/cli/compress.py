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

EXAMPLE = "glove.6B.300d.txt glove.nnc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add_source(parser, "input", "text, word2vec .bin, .npy, .safetensors or Hugging Face folder")
    add("output", type=Path, help="the .nnc file to write, which replaces one that is there")
    add("-M", "--M", type=int, dest="num_codebooks", default=32, help="codebooks (default: 32)")
    add("-K", "--K", type=int, dest="num_codewords", default=16, help="codewords (default: 16)")
    add("--limit", type=int, help="use only the first n rows")
    add("--objective", choices=("distance", "cosine"), default="distance", help="what to keep")
    add("--weights", type=Path, help="weights of the rows: .npy, or text with a number a line")
    add("--recipe", choices=list(RECIPES), default="fast", help="(default: fast)")
    add(
        "-e",
        "--epoch",
        type=int,
        dest="epochs",
        help="passes over the rows (default: the recipe chooses)",
    )
    add("--time-budget", type=float, help="seconds to refine for, roughly (default: no limit)")
    add("--codebook-dtype", choices=("auto", "float16", "float32"), default="auto",
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
    from nncompress.forecast import forecast
    from nncompress.job import open_work
    from nncompress.machine import Machine
    from nncompress.pipeline import compress_table
    from nncompress.refinement.refine import RefinementSettings
    from nncompress.sources.tables import files_of, open_table
    from nncompress.sources.weights import check_weights, load_weights
    from nncompress.training.settings import TrainingOptions

    options = TrainingOptions(
        recipe=arguments.recipe, epochs=arguments.epochs, seed=arguments.seed
    )
    refinement = RefinementSettings(seconds=arguments.time_budget)
    machine = Machine(arguments.gpu, arguments.threads)
    size = arguments.num_codebooks, arguments.num_codewords
    weights = None if arguments.weights is None else load_weights(arguments.weights)
    if not arguments.dry_run or arguments.output.parent.is_dir():  # a dry run makes none
        inputs = [*files_of(arguments.input), arguments.words, arguments.weights]
        check_output(arguments.output, inputs)
    if arguments.dry_run and arguments.work is not None:
        raise InputError("a dry run keeps no work; leave --dry-run or --work out")
    settings = {
        "limit": arguments.limit,
        "tensor": arguments.tensor,
        "objective": arguments.objective,
        "codebook_dtype": arguments.codebook_dtype,
    }
    with (
        _continuable(arguments.work),
        open_work(
            arguments.work, arguments.output, size, options, machine, refinement, settings
        ) as work,
        open_table(
            arguments.input, words=arguments.words, tensor=arguments.tensor,
            limit=arguments.limit, unit_rows=arguments.objective == "cosine", work=work,
        ) as table,
    ):  # fmt: skip
        if weights is not None:
            weights = check_weights(weights, table.matrix, str(arguments.weights))
        if arguments.dry_run:
            _print_forecast(arguments, forecast(table, size, options, machine, refinement))
            return
        embedding = compress_table(
            table, arguments.output, size, options, machine, weights=weights,
            refinement=refinement, codebook_dtype=arguments.codebook_dtype,
            report=None if arguments.json else print, work=work,
        )  # fmt: skip
    print_info(arguments, arguments.output, embedding)


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
    print_facts(arguments, {
        "file_bytes": expected.file_bytes,
        "source_bytes": expected.source_bytes,
        "seconds": round(expected.seconds, 1),
        "memory_bytes": expected.memory_bytes,
    }, {
        "file": format_bytes(expected.file_bytes),
        "of": format_bytes(expected.source_bytes) + " in float32",
        "time": "about " + format_seconds(expected.seconds),
        "memory": "about " + format_bytes(expected.memory_bytes),
    })  # fmt: skip
