"""Compare a file with the original table."""

import argparse
from pathlib import Path

from nncompress.cli.printing import add_json, add_source, print_facts
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.formats.files import check_output

EXAMPLE = "glove.nnc --against glove.6B.300d.txt --plot glove.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add_json(parser)
    add("file", type=Path)
    add_source(parser, "--against", "the original table", required=True, metavar="ORIGINAL")
    add(
        "--pairs",
        type=Path,
        action="append",
        help="two words and their similarity a line, with tabs between them (default: WordSim-353 "
        "and SimLex-999, if gensim is installed)",
    )
    add("--plot", type=Path, help="picture to draw (.png, .pdf or .svg)")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Something given cannot be used.
    """
    from nncompress.evaluate.evaluation import NEIGHBOURS, evaluate
    from nncompress.sources.tables import files_of, open_table

    if arguments.plot is not None:
        from nncompress.evaluate.pictures import plot_evaluation

        if arguments.plot.suffix not in (".png", ".pdf", ".svg"):
            raise InputError(f"{arguments.plot} does not end in .png, .pdf or .svg")
        inputs = [arguments.file, *files_of(arguments.against), arguments.words]
        check_output(arguments.plot, inputs + (arguments.pairs or []))
    embedding = CompressedEmbedding.load(arguments.file)
    unit_rows = embedding.provenance.get("objective") == "cosine"
    with open_table(
        arguments.against, words=arguments.words, tensor=arguments.tensor, unit_rows=unit_rows,
        limit=embedding.table.num_rows,
    ) as original:  # fmt: skip
        result = evaluate(embedding, original.matrix, arguments.pairs)
    measured: dict[str, object] = {
        "loss": result.distortion.loss,
        "mean_distance": result.distortion.distance,
        "mean_cosine": result.distortion.cosine,
        f"recall@{NEIGHBOURS}": result.recall,
        "bits_used": result.bits_used,
    }
    lines = {name: f"{value:.5g}" for name, value in measured.items()}
    for name, (before, after) in result.word_tests.items():
        measured[name] = {"original": before, "compressed": after}
        lines[name] = f"{after:.4f} (original {before:.4f})"
    if arguments.plot is not None:
        plot_evaluation(arguments.plot, result, arguments.file.name)
        measured["plot"] = lines["plot"] = str(arguments.plot)
    print_facts(arguments, measured, lines)
