#!/usr/bin/env python
"""Measure the accuracy of methods on tables of vectors at equal bytes per row, over many rates.

Needs `pip install ".[bench]"`. A TABLE is a name that `scripts/fetch_vectors.py` knows, which is
fetched into data/, or the path of a `.npy` file; from a larger one, `--rows` evenly spaced rows
are used. All bytes count: codes, and data shared by rows (codebooks, rotations, scales, tables)
divided by the rows, but not words. Shared data is float16, or in this project's case as in its
file. Each method uses its largest configuration within the bytes; the table shows the bytes used.
Budgets are bits per dimension and, for some tables, unless `--bits` is given, also the bytes that
a method with 4 bits per number needs.

Each fit runs in a separate process, which is ended after `--limit` seconds of processor time; if a
smaller fit of the same kind shows that the limit would be exceeded, it is not started. Seconds are
processor time over all threads. This project has no limit. `--json` keeps the figures; those
already there are not measured again, unless something was over a lower limit.
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
# 4 bits per number plus scales: float32 per row for GloVe, float16 per 32 numbers for fr300.
EXTRA_BYTES = {"glove.6B.50d": (29.0,), "fr300": (170.0,)}


def main() -> None:
    """Measures, and prints a table for each matrix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "tables", nargs="+", metavar="TABLE",
        help=f"{', '.join(VECTOR_PACKAGES)}, or the path of a .npy file",
    )  # fmt: skip
    parser.add_argument("--bits", nargs="+", type=float, help="bits per dimension")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rows", type=int, default=50_000, help="the most rows to use")
    parser.add_argument("--limit", type=float, default=120.0, help="processor seconds per fit")
    parser.add_argument("--json", type=Path, help="the file in which figures are kept")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="directory for the pictures")
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
    """Measures the points that the file of figures does not have yet.

    Args:
        name: The table's name in the file.
        rows: The matrix, float32 ``(N, D)``.
        budgets: Bytes per row, in ascending order.
        arguments: The command line's arguments.

    Returns:
        All points of the table, old and new, by budget and in the order of ``METHODS``, and the
        Gaussian bound on the error by budget.
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
    """Returns the points kept in a file, by matrix."""
    return json.loads(path.read_text()) if path is not None and path.exists() else {}


if __name__ == "__main__":
    errors.run(main)
