"""Fit a model's codebook to all rows of a table."""

import argparse
from contextlib import nullcontext

from nncompress.cli.continuation import continuable
from nncompress.cli.info import print_model
from nncompress.cli.next_steps import command_line
from nncompress.cli.paths import add_output, named
from nncompress.cli.plan_arguments import add_effort, add_machine, add_scheduler, add_work
from nncompress.cli.printing import add_json, add_rows
from nncompress.formats.files import check_output
from nncompress.formats.rescue import write_or_rescue

EXAMPLE = "vectors.model vectors.npy better.model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("model", type=named, help="a model with additive codes and no residual stage")
    add_rows(parser)
    add_output(parser, "output", help="the model's file to write, which replaces an existing one")
    add("--rounds", type=int, default=1,
        help="number of times to encode all rows and fit the codebook (default: 1)")  # fmt: skip
    add_effort(parser, "quick")
    add_work(parser)
    add_machine(parser)
    add_scheduler(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
        OutputError: The file cannot be written.
    """
    from nncompress.embedding.model_file import write_model
    from nncompress.embedding.table_directory import refuse_part_of_table
    from nncompress.formats.work import WorkDirectory
    from nncompress.jobs.models import open_model
    from nncompress.jobs.refining import RefiningSettings, refine_model
    from nncompress.jobs.scheduling import workers
    from nncompress.machine import Machine
    from nncompress.sources.open_rows import open_rows
    from nncompress.sources.tables import files_of

    settings = RefiningSettings(arguments.rounds, arguments.effort)
    machine = Machine(arguments.gpu, arguments.threads)
    model, place = open_model(arguments.model), arguments.output
    check_output(place, [file for each in arguments.table for file in files_of(each)])
    refuse_part_of_table(place)
    table = {
        "source": arguments.table, "tensor": arguments.tensor, "limit": arguments.limit,
        "unit_rows": model.unit_rows,
    }  # fmt: skip
    keeps = arguments.work is not None
    with (
        continuable(arguments.work),
        WorkDirectory.open(arguments.work) if keeps else nullcontext() as work,
        open_rows(**table) as source,
        workers(
            arguments.scheduler,
            table,
            settings.effort,
            gpu=arguments.gpu,
            threads=arguments.threads,
        ) as helpers,
    ):
        refined = refine_model(
            model, source, settings, machine, work=work,
            summing=None if helpers is None else helpers.add_up,
        )  # fmt: skip
        write_or_rescue(place.parent, lambda into: write_model(into / place.name, refined))
        if work is not None:
            work.finish()
    next_line = command_line("encode", place, *arguments.table, "OUTPUT")
    print_model(arguments, place, refined, [next_line])
