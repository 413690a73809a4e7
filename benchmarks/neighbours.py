#!/usr/bin/env python
"""Measure how much of its speed a run keeps while another process uses one of its cores.

It runs training steps and passes of refinement with as many threads as there are cores, in turn
alone and beside a process that keeps the last core busy; the figures are medians of the rounds.
With two cores, a run that shared both fairly would keep three quarters of its speed, and one that
gave up the other's core a half.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from benchmarks.train_step import of_this_project, rate
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.machine import Machine
from nncompress.refinement.engines import make_engine
from nncompress.refinement.refine import prepare_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.training.fused_updater import FusedUpdater

SIZES = [(50, 32, 16, 64), (300, 32, 16, 64), (300, 32, 16, 512)]
ROWS = 20_000
ROUNDS = 5
SECONDS = 2.0
STARTING_SECONDS = 0.3
RESTLESS = "while True: pass"


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """Keeps the last core busy."""
    core = max(os.sched_getaffinity(0))
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\n{RESTLESS}"]
    )
    try:
        time.sleep(STARTING_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


def refinement_pass(matrix: np.ndarray) -> Callable[[], int]:
    """Returns a function that improves codes of all rows, and returns their number."""
    random = np.random.default_rng(1)
    codes = random.integers(16, size=(len(matrix), 32)).astype(np.uint8)
    codebook = random.normal(size=(512, matrix.shape[1])).astype(np.float32)
    engine = make_engine(Machine())
    rows = prepare_rows(EmbeddingMatrix(matrix), codes, codebook, None, 0, engine)
    rows.relax([0.0])

    def improve() -> int:
        rows.improve(4, rows.temperature)
        return len(matrix)

    return improve


def main() -> None:
    """Prints a table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    train = of_this_project(FusedAutoencoder, FusedUpdater)
    random = np.random.default_rng(0)
    works = {}
    for dim, m, k, batch in SIZES:
        matrix = random.normal(size=(ROWS, dim)).astype(np.float32)
        works[f"steps, D={dim}, batch {batch}"] = train(matrix, m, k, batch)
    works["rows refined, D=50"] = refinement_pass(
        random.normal(size=(ROWS, 50)).astype(np.float32)
    )
    for work in works.values():
        rate(work, SECONDS)
    print(f"{describe()}; M=32, K=16; a second, medians of {ROUNDS} rounds\n")
    print("| | alone | beside another process | kept |")
    print("| --- | --- | --- | --- |")
    for name, work in works.items():
        alone, beside = [], []
        for _ in range(ROUNDS):
            alone.append(rate(work, SECONDS))
            with neighbour():
                beside.append(rate(work, SECONDS))
        one, other = float(np.median(alone)), float(np.median(beside))
        print(f"| {name} | {one:,.0f} | {other:,.0f} | {other / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
