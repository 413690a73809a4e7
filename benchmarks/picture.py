#!/usr/bin/env python
"""Draw the README's picture, error against bytes a row, from the figures in RESULTS.md.

Nothing is measured: `benchmarks/rates.py` does that, and RESULTS.md holds what it found.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress.cli import errors
from nncompress.errors import InputError
from nncompress.formats.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = ROOT / "docs" / "pictures" / "error_by_bytes.svg"
TABLE = "French 300d"
OURS, ADAPTIVE = "this project", "the same, `--adaptive`"
_BOUND = "bound"
_COLOURS = ("C0", "C1", "C2", "C4", "C5", "C6", "C7", "C8", "C9")  # all but red
# Settings that make the same figures the same file, with letters that stay text.
_SVG = {"svg.hashsalt": "nncompress", "svg.fonttype": "none", "font.family": "sans-serif"}


def read_rates(text: str, table: str) -> dict[str, list[tuple[float, float, float]]]:
    """Reads a table of rates from RESULTS.md.

    Args:
        text: The text of RESULTS.md.
        table: The name that its line begins with, such as ``"French 300d"``.

    Returns:
        For each method, its bytes a row, error, and share of the ten nearest neighbours kept.

    Raises:
        InputError: There is no such table.
    """
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(f"{table}, ")]
    if not starts:
        raise InputError(
            f"found no table of rates for {table!r}; expected a line '{table}, N x D'"
        )
    rows = _rows_of(lines[starts[0] + 1 :])
    heads = [head.strip("* ") for head in next(rows)]
    next(rows)  # the rule under the headings
    rates: dict[str, list[tuple[float, float, float]]] = {}
    for cells in rows:
        num_bytes = float(cells[0].split()[0])
        for head, cell in zip(heads[1:], cells[1:], strict=True):
            found = re.fullmatch(r"(\S+) \((\S+)\)", cell)
            if found and not head.startswith(_BOUND):
                rates.setdefault(head, []).append((num_bytes, *map(float, found.groups())))
    return rates


def _rows_of(lines: list[str]) -> Iterator[list[str]]:
    """Yields the cells of each row of the first Markdown table."""
    begun = False
    for line in lines:
        if line.startswith("|"):
            begun = True
            yield [cell.strip() for cell in line.strip("|\n").split(" | ")]
        elif begun:
            return


def draw(rates: dict[str, list[tuple[float, float, float]]], path: Path, title: str) -> None:
    """Draws errors and kept neighbours over bytes a row, this project's lines in front.

    Args:
        rates: The figures, as `read_rates` returns them.
        path: The picture, an ``.svg`` file.
        title: The title.
    """
    with rc_context(_SVG):
        figure = Figure(figsize=(9, 3.9), layout="constrained")
        figure.suptitle(title, fontsize="medium")
        errors_axes, kept_axes = figure.subplots(1, 2)
        for number, (method, points) in enumerate(rates.items()):
            style = {"linewidth": 1.3, "markersize": 4, "zorder": 2, "label": method}
            if method == OURS:
                style |= {"color": "tab:red", "linewidth": 2.5, "marker": "o", "zorder": 3}
            elif method == ADAPTIVE:
                style |= {"color": "tab:red", "linestyle": ":", "marker": "o", "zorder": 3}
                style["label"] = f"{OURS}, --adaptive"
            else:
                style |= {
                    "color": _COLOURS[number % len(_COLOURS)],
                    "marker": "s^vD*x"[number % 6],
                }
            num_bytes, error, kept = zip(*points, strict=True)
            errors_axes.plot(num_bytes, error, **style)
            kept_axes.plot(num_bytes, kept, **style)
        errors_axes.set(yscale="log", title="error: less is better")
        kept_axes.set(title="ten nearest neighbours kept: more is better")
        kept_axes.yaxis.set_major_formatter(PercentFormatter(1))
        for axes in (errors_axes, kept_axes):
            _finish(axes)
        figure.legend(
            *kept_axes.get_legend_handles_labels(), loc="outside right center", fontsize="small",
            frameon=False,
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})


def _finish(axes: Axes) -> None:
    """Sets the axes' scale, labels and grid."""
    axes.title.set_size("small")
    axes.set_xscale("log", base=2)
    axes.set_xticks([10, 20, 40, 80, 160])
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes a row, all told (float32: 1,200)")
    axes.grid(alpha=0.3)


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURE, help="the picture (.svg)")
    arguments = parser.parse_args(argv)
    rates = read_rates(RESULTS.read_text(encoding="utf-8"), TABLE)
    draw(rates, arguments.out, "French word vectors, 20,000 x 300")
    print(arguments.out)


if __name__ == "__main__":
    errors.run(main)
