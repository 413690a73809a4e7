"""A comparison of all options: a table, and a picture of the trade-off."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from nncompress.formats.files import atomic_path


@dataclass(frozen=True)
class Point:
    """The result of an option.

    Attributes:
        name: The option's name; the first of several points is the model without compression.
        validation: Perplexity on the validation words.
        test: Perplexity on the test words.
        num_bytes: Bytes of the whole file.
    """

    name: str
    validation: float
    test: float
    num_bytes: int


def table(points: Sequence[Point]) -> str:
    """Returns a table in Markdown with a line for each point."""
    plain = points[0]
    lines = [
        "| | perplexity, validation | test | of the uncompressed | bytes | times smaller |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for point in points:
        lines.append(
            f"| {point.name} | {point.validation:.1f} | {point.test:.1f} | "
            f"{point.test / plain.test - 1:+.1%} | {point.num_bytes:,} | "
            f"{plain.num_bytes / point.num_bytes:.2f} |"
        )
    return "\n".join(lines)


def draw(path: Path, points: Sequence[Point]) -> None:
    """Draws perplexity against bytes.

    Args:
        path: The picture; its ending determines the format.
        points: The points, the model without compression first.
    """
    plain = points[0]
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(plain.test, color="black", linewidth=0.8)
    axes.axhline(1.1 * plain.test, color="black", linewidth=0.8, linestyle=":")
    axes.axvline(plain.num_bytes / 4, color="black", linewidth=0.8, linestyle=":")
    axes.scatter([point.num_bytes for point in points], [point.test for point in points])
    for point in points:
        axes.annotate(
            point.name, (point.num_bytes, point.test), (5, 5), textcoords="offset points"
        )
    axes.set(
        xscale="log", xlabel="bytes of the whole file", ylabel="perplexity on the test words",
        title="The trade-off (dotted: a quarter of the bytes, and 10% more perplexity)",
    )  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
