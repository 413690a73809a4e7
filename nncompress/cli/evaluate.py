"""Compare a compressed table or model with the original one."""

import argparse

from nncompress.cli.gate_arguments import add_tasks, refuse_model_tasks
from nncompress.cli.paths import add_output, readable, source
from nncompress.cli.printing import add_json, add_source, print_facts
from nncompress.cli.tables import load_table
from nncompress.embedding.table_directory import is_table_directory
from nncompress.errors import InputError
from nncompress.formats.files import check_output

EXAMPLE = "glove.6B.300d.txt glove.nnc --page glove.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_json(parser)
    add_source(parser, "original", "the original table, as nncompress compress takes it, or the "
               "original model's folder; - for standard input", type=source)  # fmt: skip
    add = parser.add_argument
    add("compressed", type=readable, help="the .nnc file, directory of shards, or model's folder; "
        "- for standard input")  # fmt: skip
    add_tasks(parser, " (default: WordSim-353 and SimLex-999, if gensim is installed)")
    add("--frequencies", type=readable, metavar="FILE",
        help="a word and its count on each line, for the page (default: rows are in order of "
        "frequency)")  # fmt: skip
    add_output(parser, "--plot", help="picture to draw: .png, .pdf or .svg")
    add_output(
        parser, "--page", metavar="FILE.html", help="write a page with figures and pictures"
    )


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: An argument cannot be used.
    """
    _check_outputs(arguments)
    compressed = arguments.compressed
    if not compressed.exists():
        raise InputError(
            f"{compressed} does not exist; wanted a compressed table, or a model's folder"
        )
    if compressed.is_dir() and not is_table_directory(compressed):
        _evaluate_models(arguments)
    else:
        _evaluate_table(arguments)


def _evaluate_table(arguments: argparse.Namespace) -> None:
    from nncompress.evaluate.evaluation import evaluate
    from nncompress.sources.frequencies import table_frequencies
    from nncompress.sources.tables import open_table

    refuse_model_tasks(arguments)
    embedding = load_table(arguments.compressed)
    unit_rows = embedding.provenance.get("objective") == "cosine"
    num_rows, shares = embedding.table.num_rows, None
    with open_table(
        arguments.original, words=arguments.words, tensor=arguments.tensor, unit_rows=unit_rows,
        limit=None if embedding.subwords is not None else num_rows, subwords=embedding.subwords,
    ) as original:  # fmt: skip
        if arguments.frequencies is not None:
            shares = table_frequencies(original, arguments.frequencies, None).shares
        result = evaluate(embedding, original.matrix, arguments.pairs, words=original.words)
    report, distortion = result.report, result.rows.distortion
    measured: dict[str, object] = {
        "loss": distortion.loss,
        "mean_distance": distortion.distance,
        "bits_used": result.bits_used,
    }
    lines = {name: f"{value:.5g}" for name, value in measured.items()}
    measured["quality"] = report.facts
    lines |= report.lines
    if arguments.plot is not None:
        from nncompress.evaluate.pictures import plot_evaluation

        plot_evaluation(arguments.plot, result, arguments.compressed.name)
        measured["plot"] = lines["plot"] = str(arguments.plot)
    if arguments.page is not None:
        from nncompress.evaluate.table_page import write_table_page

        write_table_page(
            arguments.page, arguments.original, arguments.compressed, embedding, result, shares
        )
        measured["page"] = lines["page"] = str(arguments.page)
    print_facts(arguments, measured, lines)


def _evaluate_models(arguments: argparse.Namespace) -> None:
    from nncompress.models.evaluation import Tasks, evaluate_models

    for flag in ("words", "tensor", "frequencies", "plot"):
        if getattr(arguments, flag) is not None:
            raise InputError(
                f"--{flag} is for a compressed table, and {arguments.compressed} is a model's "
                "folder; leave it out"
            )
    tasks = Tasks(tuple(arguments.pairs or ()), arguments.sts, arguments.text)
    result = evaluate_models(arguments.original, arguments.compressed, tasks)
    measured: dict[str, object] = {"quality": result.report.facts}
    lines = result.report.lines
    if arguments.page is not None:
        from nncompress.models.page import write_model_page

        write_model_page(arguments.page, arguments.original, arguments.compressed, result)
        measured["page"] = lines["page"] = str(arguments.page)
    print_facts(arguments, measured, lines)


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuses files that cannot be written, before anything is measured.

    Raises:
        InputError: One has another ending, or is an input, or what is drawn has no place.
        ImportError: matplotlib, which draws, is not installed.
    """
    from nncompress.sources.tables import files_of

    if arguments.frequencies is not None and arguments.page is None:
        raise InputError("--frequencies is drawn on the page; add --page, or leave it out")
    inputs = [arguments.compressed, *files_of(arguments.original), arguments.words]
    inputs += [arguments.sts, arguments.text, arguments.frequencies, *(arguments.pairs or [])]
    for path, endings in (
        (arguments.plot, (".png", ".pdf", ".svg")), (arguments.page, (".html", ".htm")),
    ):  # fmt: skip
        if path is None:
            continue
        import nncompress.evaluate.pictures  # noqa: F401

        if path.suffix not in endings:
            *most, last = endings
            raise InputError(f"{path} does not end in {', '.join(most)} or {last}")
        check_output(path, inputs)
