"""What matters about a table that was just compressed, in a few lines."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.cli.info import facts_of
from nncompress.cli.printing import format_bytes, print_facts
from nncompress.cli.standard_streams import STANDARD_OUTPUT
from nncompress.embedding.compressed import CompressedEmbedding

if TYPE_CHECKING:
    from nncompress.evaluate.bootstrap import Figure
    from nncompress.evaluate.report import Report


def print_summary(
    arguments: argparse.Namespace,
    path: Path,
    embedding: CompressedEmbedding,
    report: "Report",
    next_lines: Sequence[str] = (),
) -> None:
    """Prints the size and the quality of a table; as JSON, also all that ``info`` tells.

    Args:
        arguments: The command line.
        path: The table's file.
        embedding: The table.
        report: Its measurements.
        next_lines: Command lines to go on with.
    """
    facts = facts_of(path, embedding) | {"quality": report.facts}
    rows, dim = embedding.table.num_rows, embedding.table.dim
    words = f"{len(embedding):,} words" if embedding.has_words else "without words"
    lines = {
        STANDARD_OUTPUT if path.stem == STANDARD_OUTPUT else path.name: _size(
            int(str(facts["file_bytes"])), 4 * rows * dim
        ),
        "rows": f"{rows:,} of {dim:,} numbers, {words}",
        **_quality(report.figures),
    }
    if not report.basis.startswith(f"{rows:,} rows"):  # a large table's quality is a sample's
        lines["measured on"] = report.basis
    print_facts(arguments, facts, lines | report.task_lines, next_lines)


def _size(size: int, original: int) -> str:
    ratio = original / size
    times = f"{ratio:.1f} times smaller" if ratio >= 1 else "larger than the original"
    return f"{format_bytes(size)}, {times} ({format_bytes(original)} in float32)"


def _quality(figures: Mapping[str, "Figure"]) -> dict[str, str]:
    lines = {}
    if "recall" in figures:
        kept = figures["recall"]
        value, low, high = (f"{100 * share:.1f}" for share in (kept.value, kept.low, kept.high))
        lines["neighbours kept"] = f"{value}% of each row's 10 nearest ({low} to {high})"
    if "cosine" in figures:  # some row has a direction
        mean, worst = (_cosine(figures[name].value) for name in ("cosine", "cosine_worst"))
        lines["mean cosine"] = f"{mean}; the worst 1%: {worst}"
    lines["relative error"] = f"{figures['error'].value:.2g}"
    return lines


def _cosine(value: float) -> str:
    """Returns a cosine with four digits, or with enough of them to tell it from 1."""
    return f"{value:.4f}" if value < 0.9999 else f"{value:.7g}"
