#!/usr/bin/env python
"""Measure how fast rows are coded by the residual stage, and decoded again.

The rows are 20,000 Gaussians whose variances fall from axis to axis, each in its own block. The
figures are medians of seven rounds, in which all contenders take turns; for single rows, of 500.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from nncompress.embedding.engine import engine
from nncompress.embedding.residual import Stream
from nncompress.embedding.residual_table import ResidualTable
from nncompress.machine import Machine
from nncompress.trellis.engines import make_engine
from nncompress.trellis.quantizer import Settings, fit

ROWS, SAMPLE, FEW, SINGLE, ROUNDS = 20_000, 4_000, 4_000, 500, 7
# Steps in units of the root mean square of a dimension: at 300 dimensions 1, 2 and 4 bits.
STEPS = (1.0, 0.46, 0.107)


def main() -> None:
    """Prints a table."""
    compute = make_engine(Machine())
    print(f"{describe()}; {ROWS:,} rows, medians of {ROUNDS} rounds\n")
    print(
        "| D | bits a dimension | rows a second: coded | decoded, Numba | decoded, NumPy ", end=""
    )
    print("| one row, microseconds: Numba | NumPy |\n| --- | --- | --- | --- | --- | --- | --- |")
    for dim in (50, 300, 768):
        rows = spectrum(dim)
        for step in STEPS:
            quantizer, _ = fit(rows[:SAMPLE], None, Settings(step=step), compute)
            coded = quantizer.code(rows, None, compute)
            data, lengths = quantizer.write(coded, compute)
            stream = Stream.of(data, lengths, 1, ROWS)
            table = ResidualTable(quantizer.to_residual(stream, coded.clusters))
            bits = 8 * len(data) / rows.size
            print(f"| {dim} | {bits:.2f} " + measured(table, quantizer, rows, compute), flush=True)


def spectrum(dim: int) -> np.ndarray:
    """Returns rows with a mean square of 1 per dimension, float32."""
    random = np.random.default_rng(0)
    sizes = (1 + np.arange(dim)) ** -0.25
    rows = random.normal(size=(ROWS, dim)) * sizes / np.sqrt(np.square(sizes).mean())
    axes, _ = np.linalg.qr(random.normal(size=(dim, dim)))
    return (rows @ axes).astype(np.float32)


def measured(table: ResidualTable, quantizer, rows: np.ndarray, compute) -> str:
    """Returns the rest of a line: rates of coding and decoding, and the times of single rows."""
    random = np.random.default_rng(1)
    many, few = random.integers(ROWS, size=ROWS), random.integers(ROWS, size=FEW)
    ways = {
        "coded": (
            None,
            ROWS,
            lambda: quantizer.write(quantizer.code(rows, None, compute), compute),
        ),
        "numba": ("numba", ROWS, lambda: table.decode(many)),
        "numpy": ("numpy", FEW, lambda: table.decode(few)),
    }
    times: dict[str, list] = {way: [] for way in ways}
    for number in range(ROUNDS + 1):
        for way, (chosen, _, work) in ways.items():
            engine.use(chosen or "auto")
            time.sleep(0.1)  # other libraries' threads keep waiting for work for a while
            started = time.perf_counter()
            work()
            if number:
                times[way].append(time.perf_counter() - started)
    rates = [count / np.median(times[way]) for way, (_, count, _) in ways.items()]
    singles = []
    for chosen in ("numba", "numpy"):
        engine.use(chosen)
        taken = []
        for row in many[: 2 * SINGLE].tolist():  # the first half builds tables
            started = time.perf_counter()
            table.vector(row)
            taken.append(time.perf_counter() - started)
        singles.append(np.median(taken[SINGLE:]) * 1e6)
    return "".join(f"| {rate:,.0f} " for rate in rates) + "| {:.0f} | {:.0f} |".format(*singles)


if __name__ == "__main__":
    main()
