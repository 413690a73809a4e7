"""The page: all measurements in one self-contained HTML file."""

import html
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from nncompress.evaluate.page_pictures import by_frequency, curve, errors
from nncompress.evaluate.report import Report
from nncompress.evaluate.row_comparison import RowComparison
from nncompress.formats.files import atomic_path
from nncompress.formats.printable import printable

_WORDS, _MOST_SHOWN = 12, 40
_CURVE = ("bytes_per_row", "distance", "cosine", "recall")

Point = Mapping[str, float | None]


@dataclass(frozen=True)
class Page:
    """The contents of a page.

    Attributes:
        original: The name of the original.
        compressed: The name of the compressed table or model.
        facts: Further facts about it, such as its size: names and texts.
        report: The figures.
        rows: The measurements of the rows.
        words: The word of each row, or its number.
        shares: The probability of each row, ``(N,)``; None: rows are in order of frequency.
        curve: The rate-distortion curve that the size was chosen from, see ``curve_of``; empty
            if there is none.
        chosen: The chosen point of the curve.
    """

    original: str
    compressed: str
    facts: Mapping[str, str]
    report: Report
    rows: RowComparison
    words: Sequence[str | int]
    shares: np.ndarray | None = None
    curve: Sequence[Point] = ()
    chosen: Point | None = None


def write_page(path: str | os.PathLike, page: Page) -> None:
    """Writes a page.

    Args:
        path: The HTML file.
        page: Its contents.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(_html(page), encoding="utf-8")


def curve_of(provenance: Mapping[str, object]) -> list[Point]:
    """Returns the points of the curve recorded in a file; none if no curve is recorded.

    Args:
        provenance: What the file records about how the table was made; it may be anything.
    """
    points = provenance.get("curve")
    if not isinstance(points, list):
        return []
    is_curve = all(isinstance(point, Mapping) and is_point(point) for point in points)
    return points if is_curve else []


def is_point(point: Mapping[str, object]) -> bool:
    """Tells whether a point can be drawn: its numbers are finite, its recall is one or None."""

    def is_number(value: object) -> bool:
        is_real = isinstance(value, Real) and not isinstance(value, bool)
        return is_real and math.isfinite(value)

    recall = point.get("recall")
    return all(is_number(point.get(name)) for name in _CURVE[:3]) and (
        recall is None or is_number(recall)
    )


def _html(page: Page) -> str:
    parts = [
        f"<h1>{_text(page.compressed)}</h1>",
        f"<p>A compressed version of {_text(page.original)}.</p>",
        _table([(name, value) for name, value in page.facts.items()]),
        "<h2>Quality</h2>",
        _table(list(page.report.lines.items())),
        f"<p class=note>{_FIGURES}</p>",
        "<h2>Errors of the rows</h2>",
        errors(page.rows),
        f"<p class=note>{_ERRORS}</p>",
        "<h2>Errors by frequency</h2>",
        by_frequency(page.rows, page.shares),
        f"<p class=note>{_FREQUENCY}</p>",
    ]
    if len(page.rows.queries):
        parts += ["<h2>Neighbours before and after</h2>", _neighbours(page)]
    if page.curve and page.chosen is not None:
        parts += [
            "<h2>Sizes tried</h2>",
            curve(page.curve, page.chosen),
            f"<p class=note>{_SIZES}</p>",
        ]
    title = f"<title>{_text(page.compressed)}</title>"
    return f"{_HEAD}{title}<style>{_STYLE}</style>\n<main>\n" + "\n".join(parts) + "\n</main>\n"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{_text(name)}<td>{_text(value)}" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _neighbours(page: Page) -> str:
    """Returns a table of the nearest words of some words, before and after, changes marked."""
    # Most are from among the first rows, whose words readers know.
    places = (len(page.rows.queries) - 1) * np.linspace(0.1, 1, _WORDS) ** 2
    lines = ["<table class=words><tr><th>word<th>kept<th>before<th>after"]
    for place in np.unique(places.astype(int)):
        before, after = page.rows.before[place], page.rows.after[place]
        lines.append(
            f"<tr><th>{_word(page, page.rows.queries[place])}<td>{page.rows.kept[place]:.0%}"
            f"<td>{_list(page, before, after, 'lost')}<td>{_list(page, after, before, 'new')}"
        )
    return "\n".join([*lines, "</table>"])


def _list(page: Page, rows: np.ndarray, others: np.ndarray, mark: str) -> str:
    """Returns the words of rows; those that are not among the others are marked."""
    words = (
        _word(page, row) if row in others else f"<span class={mark}>{_word(page, row)}</span>"
        for row in rows
    )
    return ", ".join(words)


def _word(page: Page, row: int) -> str:
    """Returns a row's word, which may be written from right to left."""
    return f"<bdi>{_text(str(page.words[int(row)])[:_MOST_SHOWN])}</bdi>"


def _text(text: str) -> str:
    """Returns untrusted text as HTML that shows it literally."""
    return html.escape(printable(text))


_HEAD = '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8">' \
    '<meta name="viewport" content="width=device-width">'  # fmt: skip
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0 }
main { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { font-weight: 600; line-height: 1.2 } h1 { font-size: 1.6rem } h2 { font-size: 1.2rem;
margin-top: 2.2rem }
table { border-collapse: collapse } th, td { text-align: left; vertical-align: top;
padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid #e4e4e4 } th { font-weight: 600 }
.words th { white-space: nowrap } .note { color: #666; font-size: .9rem }
.lost { color: #b23b3b; text-decoration: line-through } .new { color: #2f7a3d }
svg { width: 100%; height: auto }
"""
_FIGURES = (
    "Relative error: the mean squared distance divided by the variance of the rows. Worst 1%: the "
    "mean of the smallest 1% of the cosines. Neighbours kept: the share of each row's 10 nearest "
    "neighbours by cosine that are still among its 10 nearest. In brackets: the range of 95% of "
    "1,000 bootstrap resamples."
)
_ERRORS = (
    "Relative distances are divided by the root mean square of the rows' distances to their mean."
)
_FREQUENCY = (
    "Means over rows of similar frequency; the bands cover the middle 80% of these rows. Without "
    "counts, rows are assumed to be in order of frequency, as in most tables of words."
)
_SIZES = "Measured on a sample of the rows; the star is the chosen size, measured on all rows."
