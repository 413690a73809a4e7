"""Encode a table's rows with a model, into a directory of shards."""

import argparse
from functools import partial
from pathlib import Path

from nncompress.cli.continuation import continuable
from nncompress.cli.info import print_info
from nncompress.cli.next_steps import after_table, command_line
from nncompress.cli.paths import add_output, named, named_source
from nncompress.cli.plan_arguments import add_effort, add_machine, add_scheduler
from nncompress.cli.printing import add_json, add_rows, add_words

EXAMPLE = "vectors.model vectors.npy vectors.nnc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("model", type=named, help="what nncompress learn wrote, or a .nnc file or directory")
    add_rows(parser)
    add_words(parser, kind=named_source)
    add_output(parser, "output", help="the directory to write")
    add_effort(parser, "default")
    add("--rows", type=_range, metavar="FIRST:END", help="encode only this part of the rows")
    add("--shard-rows", type=int, metavar="ROWS",
        help="number of rows in a file (default: as many as memory has room for)")  # fmt: skip
    add("--append", action="store_true", help="add the rows to an existing directory")
    add("--work", type=named, metavar="DIR",
        help="where to keep blocks until the end (default: OUTPUT.work)")  # fmt: skip
    add_machine(parser)
    add_scheduler(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
        OutputError: Something cannot be written.
    """
    from nncompress.jobs.encoding import EncodingSettings, encode_rows
    from nncompress.jobs.models import open_model
    from nncompress.jobs.scheduling import workers
    from nncompress.machine import Machine
    from nncompress.sources.open_rows import open_rows

    settings = EncodingSettings(
        arguments.effort, arguments.rows, arguments.shard_rows, arguments.append
    )
    machine = Machine(arguments.gpu, arguments.threads)
    model = open_model(arguments.model)
    table = {
        "source": arguments.table, "tensor": arguments.tensor, "limit": arguments.limit,
        "unit_rows": model.unit_rows,
    }  # fmt: skip
    with (
        continuable(arguments.work or Path(f"{arguments.output}.work")),
        open_rows(**table, words=arguments.words) as source,
        workers(
            arguments.scheduler,
            table,
            settings.effort,
            gpu=arguments.gpu,
            threads=arguments.threads,
        ) as helpers,
    ):
        embedding = encode_rows(
            model, source, arguments.output, settings, machine, work=arguments.work,
            runner=None if helpers is None else partial(helpers.encode, model),
        )  # fmt: skip
    place = arguments.output
    next_lines = [command_line("index", place), *after_table(place, embedding)]
    print_info(arguments, place, embedding, next_lines=next_lines)


def _range(text: str) -> tuple[int, int]:
    """Returns the first row and the one after the last."""
    first, colon, last = text.partition(":")
    if not (colon and first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted FIRST:END, such as 0:1000000")
    return int(first), int(last)
