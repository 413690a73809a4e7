"""Learn a model on a sample of a table's rows, with which to encode all of them."""

import argparse

from nncompress.cli.continuation import continuable
from nncompress.cli.info import print_model
from nncompress.cli.next_steps import command_line
from nncompress.cli.paths import add_output
from nncompress.cli.plan_arguments import add_machine, add_plan, add_work, plan_of
from nncompress.cli.printing import add_json, add_rows
from nncompress.formats.files import check_output
from nncompress.formats.rescue import write_or_rescue
from nncompress.progress import expect, phase, report

EXAMPLE = "vectors.npy vectors.model -M 32 -K 16"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_json(parser)
    add_rows(parser)
    add_output(parser, "model", help="the model's file to write, which replaces an existing one")
    parser.add_argument(
        "--sample", type=int, metavar="ROWS",
        help="number of rows to learn from, evenly spaced (default: 262,144, or all if there are "
        "fewer)",
    )  # fmt: skip
    add_plan(parser)
    add_machine(parser)
    add_work(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
        OutputError: The file cannot be written.
    """
    from nncompress.embedding.model_file import write_model
    from nncompress.embedding.table_directory import refuse_part_of_table
    from nncompress.evaluate.curve_file import check_curve
    from nncompress.job import open_work
    from nncompress.jobs.learning import learn_model, sample_size
    from nncompress.machine import Machine
    from nncompress.phases import WRITING, phases_of_model
    from nncompress.sources.open_rows import open_rows
    from nncompress.sources.tables import files_of

    plan = plan_of(arguments)
    machine = Machine(arguments.gpu, arguments.threads)
    inputs = [file for each in arguments.table for file in files_of(each)]
    check_output(arguments.model, inputs)
    refuse_part_of_table(arguments.model)
    check_curve(arguments.curve, plan.has_residual, inputs)
    others = {"sample": arguments.sample, "limit": arguments.limit, "tensor": arguments.tensor}
    with (
        continuable(arguments.work),
        open_work(arguments.work, arguments.model, plan, machine, others) as work,
        open_rows(
            arguments.table, tensor=arguments.tensor, limit=arguments.limit,
            unit_rows=plan.objective == "cosine",
        ) as source,
    ):  # fmt: skip
        shape = source.num_rows, source.dim
        sample = arguments.sample or sample_size(*shape)
        expect(lambda: phases_of_model(shape, plan, machine, sample))
        model = learn_model(
            source, plan, machine, num_rows=arguments.sample,
            report=None if arguments.json else report, curve=arguments.curve, work=work,
        )  # fmt: skip
        place = arguments.model
        with phase(WRITING):
            write_or_rescue(place.parent, lambda into: write_model(into / place.name, model))
        if work is not None:
            work.finish()
    next_line = command_line("encode", arguments.model, *arguments.table, "OUTPUT")
    print_model(arguments, arguments.model, model, [next_line])
