#!/usr/bin/env python
"""Measure the speed and the error of encoding rows with a fixed codebook, for each effort.

A codebook of M=32 and K=16 is found on most rows of each table, and 4,096 other rows are encoded:
with each of ``refinement.encoding.EFFORTS``, and as in a round of refinement through all rows
(beam search with 128 paths and 32 samples), whose errors count as 1. Rates are those of one
thread, by its own processor time: medians of runs that take turns.

    python benchmarks/efforts.py data/fr300.npy data/minilm.npy synthetic
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress.machine import Machine
from nncompress.refinement.encoding import EFFORTS, RowEncoder
from nncompress.refinement.engines import make_engine
from nncompress.refinement.refine import quantize
from nncompress.refinement.rows import CodedRows
from nncompress.sources import EmbeddingMatrix

M, K = 32, 16
HELD_OUT, MOST_ROWS = 4_096, 65_536
SYNTHETIC_ROWS, SYNTHETIC_DIM, CLUSTERS = 66_000, 160, 2_000


def synthetic(num_rows: int = SYNTHETIC_ROWS, seed: int = 7) -> np.ndarray:
    """Returns clustered rows with decreasing variances, float32 ``(num_rows, 160)``."""
    random = np.random.default_rng(seed)
    lengths = (1 + np.arange(SYNTHETIC_DIM)) ** -0.5
    turn, _ = np.linalg.qr(random.normal(size=(SYNTHETIC_DIM, SYNTHETIC_DIM)))
    centres = random.normal(size=(CLUSTERS, SYNTHETIC_DIM)) * lengths * 0.8
    rows = centres[random.integers(CLUSTERS, size=num_rows)]
    rows = rows + random.normal(size=rows.shape) * lengths
    return (rows * random.lognormal(0, 0.2, size=(num_rows, 1)) @ turn).astype(np.float32)


def measure(name: str, repeats: int) -> None:
    """Prints a row for each effort."""
    table = synthetic() if name == "synthetic" else np.load(name).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(table))
    others = table[order[:HELD_OUT]]
    matrix = EmbeddingMatrix(table[np.sort(order[HELD_OUT : HELD_OUT + MOST_ROWS])])
    machine = Machine(threads=1)
    learnt = quantize(matrix, M, K, machine=machine)
    how = learnt.codebook, M, matrix.normalization, learnt.losses[-1]
    encoders = {effort: RowEncoder(*how, effort, 0, machine) for effort in EFFORTS}
    shift = matrix.normalization.centre.astype(np.float64) / M

    def a_round() -> np.ndarray:
        rows = CodedRows(
            EmbeddingMatrix(others), np.ones(HELD_OUT), matrix.normalization,
            np.zeros((HELD_OUT, M), np.uint8),
            (learnt.codebook - shift) / matrix.normalization.scale, 0, make_engine(machine),
        )  # fmt: skip
        rows.search(128, solve=False)
        rows.improve(32, 1.7 * rows.temperature, solve=False)
        return rows.codes

    runs: dict[str, Callable[[], np.ndarray]] = {"a round of refinement": a_round}
    for effort, encoder in encoders.items():
        runs[effort] = lambda encoder=encoder: encoder.encode(others, 0)
    errors = {
        run: encoders["quick"].errors(others, encode()).mean() for run, encode in runs.items()
    }
    seconds: dict[str, list[float]] = {run: [] for run in runs}
    for _ in range(repeats):
        for run, encode in runs.items():
            started = time.process_time()
            encode()
            seconds[run].append(time.process_time() - started)
    print(f"\n{name}, {table.shape[1]} columns, codebook from {len(matrix):,} rows")
    print("| effort | rows a second | of a round's rate | error of a round's | of thorough's |")
    print("| --- | --- | --- | --- | --- |")
    reference = statistics.median(seconds["a round of refinement"])
    for run in runs:
        taken, error = statistics.median(seconds[run]), errors[run]
        print(
            f"| {run} | {HELD_OUT / taken:,.0f} | {reference / taken:.1f} "
            f"| {error / errors['a round of refinement']:.4f} "
            f"| {error / errors['thorough']:.4f} |",
            flush=True,
        )


def main() -> None:
    """Measures the given tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", help=".npy files, or 'synthetic'")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.tables:
        measure(name, arguments.repeats)


if __name__ == "__main__":
    main()
