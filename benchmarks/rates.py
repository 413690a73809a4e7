#!/usr/bin/env python
"""Measure how close methods come to tables of vectors at equal bytes a row, over many rates.

Needs `pip install ".[bench]"`. A TABLE is a name that `scripts/fetch_vectors.py` knows, which is
fetched into data/, or the path of a `.npy` file; of a larger one `--rows` evenly spaced rows are
used. Bytes are all there are: codes, and what rows share (codebooks, rotations, scales, tables)
divided by the rows; words are not counted. What is shared is float16, in this project's file what
that has. Each method takes its largest configuration within the bytes; the table says what that
took. Budgets are bits a dimension, and for some tables, unless `--bits` are given, also the bytes
that a method of 4 bits a number needs.

Each fit is a process of its own, which ends after `--limit` seconds of processor time; where a
smaller one of the same kind tells that it would, it is not begun. Seconds are processor time, of
all threads together. This project has no limit. `--json` keeps the figures, and what is
there already is not measured again, unless something was over a lower limit.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import rate_codebooks, rate_scalars
from benchmarks.machine import describe
from benchmarks.rate_configurations import Configuration
from benchmarks.rate_measures import Original
from benchmarks.rate_pictures import markdown, plot
from benchmarks.rate_project import this_project, this_project_adaptive
from benchmarks.rate_runs import Point, Runner
from nncompress.cli import errors
from nncompress.formats.files import atomic_path
from nncompress.formats.npy import map_npy
from nncompress.sources.matrix import spaced_rows
from nncompress.sources.packages import VECTOR_PACKAGES, fetch_vectors

ROOT = Path(__file__).resolve().parent.parent
OURS = "this project"
METHODS: dict[str, Callable[[tuple[int, int], float], list[Configuration]]] = {
    OURS: this_project,
    f"{OURS}, --adaptive": this_project_adaptive,
    "faiss PQ": rate_codebooks.product,
    "faiss OPQ": rate_codebooks.rotated_product,
    "faiss RQ": rate_codebooks.residual,
    "faiss LSQ": rate_codebooks.local_search,
    "faiss PRQ": rate_codebooks.product_residual,
    "faiss PLSQ": rate_codebooks.product_local_search,
    "integers, a scale a row": rate_scalars.integer_rows,
    "integers, a scale for 32": rate_scalars.integer_groups,
    "random rotation, Lloyd-Max": rate_scalars.rotated,
    "8-bit PCA": rate_scalars.principal_components,
}
BITS = (0.25, 0.5, 1, 2, 3, 4, 6)
# 4 bits a number and a scale: float32 for a row of GloVe, float16 for 32 numbers of fr300.
EXTRA_BYTES = {"glove.6B.50d": (29.0,), "fr300": (170.0,)}


def main() -> None:
    """Measures, and prints a table for each matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "tables", nargs="+", metavar="TABLE",
        help=f"{', '.join(VECTOR_PACKAGES)}, or the path of a .npy file",
    )  # fmt: skip
    parser.add_argument("--bits", nargs="+", type=float, help="bits a dimension")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rows", type=int, default=50_000, help="rows at most")
    parser.add_argument("--limit", type=float, default=120.0, help="processor seconds of a fit")
    parser.add_argument("--json", type=Path, help="the file that keeps the figures")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="where a picture of each goes")
    arguments = parser.parse_args()
    for table in arguments.tables:
        name = Path(table).stem if table.endswith(".npy") else table
        path = Path(table) if table.endswith(".npy") else fetch_vectors(name, ROOT / "data")[0]
        matrix = map_npy(path)
        rows = np.array(matrix[spaced_rows(arguments.rows, len(matrix))], dtype=np.float32)
        extra = EXTRA_BYTES.get(name, ()) if arguments.bits is None else ()
        budgets = [bits * rows.shape[1] / 8 for bits in arguments.bits or BITS]
        budgets = sorted({*budgets, *extra})
        points, bounds = measure(name, rows, budgets, arguments)
        title = f"{name}, {len(rows):,} x {rows.shape[1]}"
        print(f"\n{describe()}; {title}; at most {arguments.limit:g} processor seconds a fit\n")
        print(markdown(points, rows.shape[1], bounds), flush=True)
        if arguments.plot is not None:
            plot(arguments.plot / f"{name}.png", points, rows.shape[1], bounds, title)


def measure(
    name: str, rows: np.ndarray, budgets: list[float], arguments: argparse.Namespace
) -> tuple[list[Point], dict[float, float]]:
    """Measures what the file of figures does not have yet.

    Args:
        name: The table's name there.
        rows: The matrix, float32 ``(N, D)``.
        budgets: Bytes a row, in ascending order.
        arguments: The command line's.

    Returns:
        All points of the table that the file and the command line have, by budget and in the
        order of ``METHODS``, and the Gaussian bound of the error by budget.
    """
    kept = read(arguments.json)
    key = f"{name} {len(rows)} x {rows.shape[1]}"
    points = [Point(**fields) for fields in kept.get(key, [])]
    original = Original(rows)
    runners = {
        method: Runner(rows, original, None if method == OURS else arguments.limit)
        for method in arguments.methods
    }
    for budget in budgets:
        for method, runner in runners.items():
            mine = [point for point in points if point.method == method]
            there = [point for point in mine if point.budget == budget]
            if there and there[0].holds(runner.limit):
                continue
            points = [point for point in points if point not in there]
            before = [point for point in mine if point.budget < budget]
            configurations = METHODS[method](rows.shape, budget)
            points.append(runner.point(method, configurations, budget, before))
            print(f"{name}: {points[-1]}", file=sys.stderr, flush=True)
            if arguments.json is not None:
                kept[key] = [asdict(point) for point in points]
                with atomic_path(arguments.json) as temporary:
                    temporary.write_text(json.dumps(kept, indent=1) + "\n")
    order = list(METHODS)
    points.sort(key=lambda point: (point.budget, order.index(point.method)))
    all_budgets = {*budgets, *(point.budget for point in points)}
    return points, {budget: original.gaussian_error(8 * budget) for budget in all_budgets}


def read(path: Path | None) -> dict[str, list[dict]]:
    """Returns the points that a file keeps, by matrix."""
    return json.loads(path.read_text()) if path is not None and path.exists() else {}


if __name__ == "__main__":
    errors.run(main)
