"""The plot of the rate-distortion curve that a size was chosen from."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nncompress.files import atomic_path
from nncompress.training.sizing import Point


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
