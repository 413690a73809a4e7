"""The tables and pictures of `rates.py`."""

import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from benchmarks.rate_runs import Point
from nncompress.formats.files import atomic_path

_HEADS = ("budget, bits a dimension", "method", "configuration", "bytes a row", "error",
          "mean cosine", "neighbours kept at 10", "processor seconds")  # fmt: skip


def markdown(points: Sequence[Point], dim: int, bounds: dict[float, float]) -> str:
    """Returns the table for a matrix.

    Args:
        points: Its lines.
        dim: D.
        bounds: The Gaussian bound on the error, by budget in bytes per row.
    """
    lines = [f"| {' | '.join(_HEADS)} |", f"|{' --- |' * len(_HEADS)}"]
    for budget, bound in sorted(bounds.items()):
        rate = f"{8 * budget / dim:.3g} ({budget:g} bytes)"
        lines.append(f"| {rate} | *Gaussian bound* | all bytes as code | {budget:.2f} "
                     f"| {bound:.4g} | | | |")  # fmt: skip
        for point in points:
            if point.budget == budget:
                lines.append(f"| | {_line(point)} |")
    return "\n".join(lines)


def _line(point: Point) -> str:
    over = f"over the limit: {', '.join(point.over)}" if point.over else ""
    if point.error is None:
        return f"{point.method} | {over or point.why_not} | | | | |"
    label = "; ".join(filter(None, [point.configuration, over]))
    if point.code_bits is not None:
        label = f"{point.code_bits:.5g} code bits, whose bound is {point.code_bound:.4g}"
    seconds = f"{point.seconds:.1f}"
    return (
        f"{point.method} | {label} | {point.bytes_per_row:.2f} | {point.error:.4g} "
        f"| {point.cosine:.4f} | {point.recall:.3f} | {seconds}"
    )


def plot(
    path: str | os.PathLike,
    points: Sequence[Point],
    dim: int,
    bounds: dict[float, float],
    title: str,
) -> None:
    """Draws error and neighbours kept over the bits per dimension used.

    Args:
        path: The picture, a ``.png`` file.
        points: The points to draw, with a line for each method.
        dim: D.
        bounds: The Gaussian bound on the error, by budget in bytes per row.
        title: The title.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(14, 6), layout="constrained")
    figure.suptitle(title, parse_math=False)
    errors, neighbours = figure.subplots(1, 2)
    errors.plot(
        [8 * budget / dim for budget in sorted(bounds)],
        [bound for _, bound in sorted(bounds.items())],
        color="black", linestyle="--", label="Gaussian bound",
    )  # fmt: skip
    for number, method in enumerate(dict.fromkeys(point.method for point in points)):
        done = [point for point in points if point.method == method and point.error is not None]
        done.sort(key=lambda point: point.bytes_per_row)
        rates = [8 * point.bytes_per_row / dim for point in done]
        style = {"marker": "os^vD*"[number % 6], "markersize": 4, "label": method,
                 "color": f"C{number % 10}", "linestyle": "-" if number < 10 else ":"}  # fmt: skip
        errors.plot(rates, [point.error for point in done], **style)
        neighbours.plot(rates, [point.recall for point in done], **style)
    errors.set(yscale="log", ylabel="mean squared distance over the variance")
    neighbours.set(ylabel="neighbours kept at 10")
    for axes in (errors, neighbours):
        axes.set(xlabel="bits a dimension, all bytes")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(alpha=0.3)
    errors.legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
