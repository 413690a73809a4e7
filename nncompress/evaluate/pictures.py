"""Pictures: what a compressed embedding keeps, and the curve that a size was chosen from."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nncompress.evaluate.curve import CurvePoint
from nncompress.evaluate.evaluation import Evaluation
from nncompress.evaluate.neighbours import NEIGHBOURS
from nncompress.evaluate.sizing import Point
from nncompress.formats.files import atomic_path


def plot_evaluation(path: str | os.PathLike, evaluation: Evaluation, title: str) -> None:
    """Draws the rows' errors, the use of the codewords, and the neighbours that are kept.

    Args:
        path: The picture; its name's ending tells the format.
        evaluation: What was measured.
        title: What stands above.
    """
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    figure.suptitle(title, parse_math=False)
    errors, codes, neighbours = figure.subplots(1, 3)

    rows = evaluation.rows
    errors.hist(rows.distances, bins=100, color="tab:blue")
    errors.axvline(rows.distortion.distance, color="black", linestyle="--", label="mean")
    errors.set(title="Error", xlabel="Euclidean distance to the original", ylabel="rows")
    errors.legend()

    if evaluation.usage.size:
        share = evaluation.usage / evaluation.usage.sum(axis=1, keepdims=True)
        share = np.sort(share, axis=1)[:, ::-1]
        image = codes.imshow(share, aspect="auto", interpolation="nearest")
        figure.colorbar(image, ax=codes, label="share of the rows")
        codes.set(
            title="Code usage", xlabel="codeword, by how often it is used", ylabel="codebook"
        )
    else:
        codes.axis("off")
        codes.set(title="No codebooks")

    if len(rows.kept):
        steps = np.arange(NEIGHBOURS + 2) - 0.5
        neighbours.hist(rows.kept * NEIGHBOURS, bins=steps, color="tab:green", rwidth=0.9)
        neighbours.set(
            title=f"Neighbours kept (recall@{NEIGHBOURS} {rows.kept.mean():.3f})",
            xlabel=f"of the {NEIGHBOURS} nearest rows",
            ylabel="rows asked",
        )
    else:
        neighbours.axis("off")
        neighbours.set(title="Too few rows for neighbours")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def plot_rate_distortion(path: Path, points: Sequence[Point], chosen: Point) -> None:
    """Draws distance and cosine over bytes a row, a line for each K.

    Args:
        path: Where the picture goes, a ``.png`` file; its directory is made.
        points: What was measured.
        chosen: The point that is marked.
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
        axis.set(xlabel="bytes a row", ylabel=f"mean {name}", xscale="log")
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def plot_curve(path: str | os.PathLike, points: Sequence[CurvePoint], chosen: CurvePoint) -> None:
    """Draws distance, cosine and recall over bytes a row.

    Args:
        path: The picture; its name's ending tells the format.
        points: What was measured, by size.
        chosen: The point that is marked.
    """
    figure = draw_curve([point.facts for point in points], chosen.facts)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_curve(
    points: Sequence[Mapping[str, float | None]], chosen: Mapping[str, float | None]
) -> Figure:
    """Draws distance, cosine and recall over bytes a row.

    Args:
        points: What was measured, by size: ``CurvePoint.facts``.
        chosen: The point that is marked.
    """
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    sizes = [point["bytes_per_row"] for point in points]
    for name, axis in zip(("distance", "cosine", "recall"), figure.subplots(1, 3), strict=True):
        # Of a table of few rows there is no recall.
        *heights, mark = (np.nan if (y := p[name]) is None else y for p in (*points, chosen))
        axis.plot(sizes, heights, marker="o")
        axis.plot(chosen["bytes_per_row"], mark, "k*", markersize=14)
        title = f"recall@{NEIGHBOURS}" if name == "recall" else f"mean {name}"
        axis.set(xlabel="bytes a row", ylabel=title)
    return figure
