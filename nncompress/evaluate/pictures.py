"""Pictures of how close a compressed embedding is, and of the curve its size was chosen from."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nncompress.missing import brought_by

with brought_by("plot"):
    from matplotlib.figure import Figure

from nncompress.evaluate.curve import CurvePoint
from nncompress.evaluate.evaluation import Evaluation
from nncompress.evaluate.histogram import draw_histogram
from nncompress.evaluate.neighbours import NEIGHBOURS
from nncompress.evaluate.sizing import Point
from nncompress.formats.files import atomic_path


def plot_evaluation(path: str | os.PathLike, evaluation: Evaluation, title: str) -> None:
    """Draws the errors of the rows, the use of the codewords and the neighbours kept.

    Args:
        path: The file to write; its extension determines the format.
        evaluation: The measurements.
        title: The title.
    """
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    figure.suptitle(title, parse_math=False)
    errors, codes, neighbours = figure.subplots(1, 3)

    rows = evaluation.rows
    draw_histogram(errors, rows.distances, bins=100, color="tab:blue")
    errors.axvline(rows.distortion.distance, color="black", linestyle="--", label="mean")
    errors.set(title="Error", xlabel="Euclidean distance to the original", ylabel="rows")
    errors.legend()

    if evaluation.usage.size:
        share = evaluation.usage / evaluation.usage.sum(axis=1, keepdims=True)
        share = np.sort(share, axis=1)[:, ::-1]
        image = codes.imshow(share, aspect="auto", interpolation="nearest")
        figure.colorbar(image, ax=codes, label="share of the rows")
        codes.set(title="Code usage", xlabel="codewords, most used first", ylabel="codebook")
    else:
        codes.axis("off")
        codes.set(title="No codebooks")

    if len(rows.kept):
        steps = np.arange(NEIGHBOURS + 2) - 0.5
        neighbours.hist(rows.kept * NEIGHBOURS, bins=steps, color="tab:green", rwidth=0.9)
        neighbours.set(
            title=f"Neighbours kept (recall@{NEIGHBOURS} {rows.kept.mean():.3f})",
            xlabel=f"of the {NEIGHBOURS} nearest neighbours",
            ylabel="rows",
        )
    else:
        neighbours.axis("off")
        neighbours.set(title="Too few rows for neighbours")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def plot_rate_distortion(path: Path, points: Sequence[Point], chosen: Point) -> None:
    """Plots distance and cosine against bytes per row, with a line for each K.

    Args:
        path: The ``.png`` file to write; its directory is created.
        points: The measured points.
        chosen: The point to mark.
    """
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots(1, 2)
    for name, axis in zip(("distance", "cosine"), axes, strict=True):
        for num_codewords in sorted({point.num_codewords for point in points}):
            line = [point for point in points if point.num_codewords == num_codewords]
            axis.plot(
                [point.bytes_per_row for point in line],
                [getattr(point, name) for point in line],
                marker="o",
                label=f"K={num_codewords}",
            )
        axis.plot(
            chosen.bytes_per_row, getattr(chosen, name), "k*", markersize=14,
            label=f"chosen: M={chosen.num_codebooks}",
        )  # fmt: skip
        axis.set(xlabel="bytes per row", ylabel=f"mean {name}", xscale="log")
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def plot_curve(path: str | os.PathLike, points: Sequence[CurvePoint], chosen: CurvePoint) -> None:
    """Plots distance, cosine and recall against bytes per row.

    Args:
        path: The file to write; its extension determines the format.
        points: The measured points, by size.
        chosen: The point to mark.
    """
    figure = draw_curve([point.facts for point in points], chosen.facts)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_curve(
    points: Sequence[Mapping[str, float | None]], chosen: Mapping[str, float | None]
) -> Figure:
    """Plots distance, cosine and recall against bytes per row.

    Args:
        points: The measured points, by size: ``CurvePoint.facts``.
        chosen: The point to mark.
    """
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    sizes = [point["bytes_per_row"] for point in points]
    for name, axis in zip(("distance", "cosine", "recall"), figure.subplots(1, 3), strict=True):
        # Tables with few rows have no recall.
        *heights, mark = (np.nan if (y := p[name]) is None else y for p in (*points, chosen))
        axis.plot(sizes, heights, marker="o")
        axis.plot(chosen["bytes_per_row"], mark, "k*", markersize=14)
        title = f"recall@{NEIGHBOURS}" if name == "recall" else f"mean {name}"
        axis.set(xlabel="bytes per row", ylabel=title)
    return figure
