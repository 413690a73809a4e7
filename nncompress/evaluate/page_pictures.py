"""The pictures of the page, as inline SVG."""

import io
import re
from collections.abc import Mapping, Sequence

import numpy as np

from nncompress.missing import brought_by

with brought_by("plot"):
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

from nncompress.evaluate.histogram import draw_histogram
from nncompress.evaluate.pictures import draw_curve
from nncompress.evaluate.row_comparison import RowComparison

# Ranks and counts are grouped into this many bins, evenly spaced in their logarithms.
_BINS, _FEWEST_IN_BIN = 24, 5
_COLOR = "#4878a8"
_BEFORE_SVG = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "nncompress", "font.family": "sans-serif",
    "axes.spines.top": False, "axes.spines.right": False, "font.size": 11,
}  # fmt: skip


def as_svg(figure: Figure, what: str) -> str:
    """Returns a figure as a self-contained SVG element.

    Args:
        figure: The figure.
        what: A description for readers who cannot see it; trusted plain text.
    """
    written = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    svg = _METADATA.sub("", _BEFORE_SVG.sub("", written.getvalue(), count=1))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{what}" ', 1)


def errors(rows: RowComparison) -> str:
    """Draws histograms of the rows' errors and cosines."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(10, 3), layout="constrained")
        left, right = figure.subplots(1, 2)
        typical = np.sqrt(rows.spreads.mean()) or 1.0
        draw_histogram(left, rows.distances / typical, bins=80, color=_COLOR)
        left.set(xlabel="relative distance to the original", ylabel="rows")
        cosines = rows.cosines[~np.isnan(rows.cosines)]
        if len(cosines):
            draw_histogram(right, cosines, bins=80, color=_COLOR, far="below")
        right.set(xlabel="cosine to the original", ylabel="rows")
        return as_svg(figure, "Histograms of the rows' errors and cosines")


def by_frequency(rows: RowComparison, shares: np.ndarray | None) -> str:
    """Plots errors, cosines and neighbours kept against the frequency of the rows.

    Args:
        rows: The measurements of the rows.
        shares: The probability of each row, float64 ``(N,)``; None: rows are assumed to be in
            order of frequency, the most frequent first.
    """
    number = np.arange(1, len(rows.squares) + 1) if shares is None else 1e6 * shares
    label = "row (rank by frequency)" if shares is None else "occurrences per million"
    with rc_context(_STYLE):
        figure = Figure(figsize=(10, 3), layout="constrained")
        axes = figure.subplots(1, 3)
        spread = rows.spreads.mean() or 1.0
        _line(axes[0], number, rows.squares / spread, "error (share of the variance)")
        directed = ~np.isnan(rows.cosines)
        _line(axes[1], number[directed], rows.cosines[directed], "mean cosine")
        _line(axes[2], number[rows.queries], rows.kept, "share of 10 neighbours kept")
        for axis in axes:
            axis.set(xlabel=label, xscale="log")
        return as_svg(figure, "Errors, cosines and neighbours kept against the frequency of rows")


def curve(points: Sequence[Mapping[str, float | None]], chosen: Mapping[str, float | None]) -> str:
    """Draws the rate-distortion curve and marks the chosen point; see ``draw_curve``."""
    with rc_context(_STYLE):
        return as_svg(draw_curve(points, chosen), "The rate-distortion curve")


def _line(axis: Axes, number: np.ndarray, values: np.ndarray, label: str) -> None:
    """Plots the mean of values in each bin of numbers, with a band for the middle 80%."""
    axis.set(ylabel=label)
    if not len(values):
        return
    edges = np.geomspace(number.min(), number.max() * (1 + 1e-9), _BINS + 1)
    bins = np.clip(np.searchsorted(edges, number, side="right") - 1, 0, _BINS - 1)
    chosen = [bins == i for i in range(_BINS)]
    chosen = [mask for mask in chosen if mask.sum() >= min(_FEWEST_IN_BIN, len(values))]
    centres = [np.exp(np.log(number[mask]).mean()) for mask in chosen]
    ends = np.array([np.quantile(values[mask], (0.1, 0.9)) for mask in chosen]).reshape(-1, 2)
    axis.fill_between(centres, *ends.T, color=_COLOR, alpha=0.2, linewidth=0)
    axis.plot(centres, [values[mask].mean() for mask in chosen], marker=".", color=_COLOR)
