"""Histograms that a few far values do not squeeze: these are counted beside the picture."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The share of the values that is always drawn, and how much wider the others may make the picture.
_DRAWN, _WIDER = 0.995, 1.5


def draw_histogram(
    axis: "Axes", values: np.ndarray, *, bins: int, color: str, far: str = "above"
) -> None:
    """Draws a histogram of rows, cut at a high quantile where it would be mostly empty beyond.

    The rows that are left out are counted in the picture: ``and 37 rows above 4.2``.

    Args:
        axis: Where to draw.
        values: A number for each row, ``(N,)``.
        bins: Number of bars.
        color: Their color.
        far: On which side the values may be far from the others: ``"above"`` or ``"below"``.
    """
    sign = 1.0 if far == "above" else -1.0
    signed = sign * values
    shown = np.ones(len(values), dtype=bool)
    if len(values):
        # As it is printed, so that what is said is what was counted.
        limit = float(f"{np.quantile(signed, _DRAWN, method='higher'):.4g}")
        cut = signed <= limit
        least, most = signed.min(), signed.max()
        if cut.any() and most - least > _WIDER * (signed[cut].max() - least):
            shown = cut
    axis.hist(values[shown], bins=bins, color=color)
    if not shown.all():
        count = int((~shown).sum())
        rows = "row" if count == 1 else "rows"
        axis.text(
            0.98 if sign > 0 else 0.02, 0.6, f"and {count:,} {rows}\n{far} {sign * limit:g}",
            transform=axis.transAxes, ha="right" if sign > 0 else "left",
        )  # fmt: skip
