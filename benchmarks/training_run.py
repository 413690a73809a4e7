#!/usr/bin/env python
"""Measure the overhead of a whole run over its steps, and the result of the paper recipe.

It measures on fr300 (`python scripts/fetch_vectors.py fr300`):
- the steps a second of `train_comp.py` with all its extensions, from its first report to its last,
  compared with the same steps by the updater alone, in turn, as medians of three rounds;
- the paper recipe's 62,500 steps of 64 rows: wall time, validation losses, distance.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import infer_comp
import train_comp
from benchmarks.machine import describe
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.fused_updater import FusedUpdater
from nncompress.training.settings import TrainingOptions

MATRIX = "data/fr300.npy"
EPOCHS = 96  # 30,000 steps of 64 rows
ROUNDS = 3


def raw_rate(matrix: EmbeddingMatrix) -> float:
    """Returns the steps a second of the updater alone."""
    settings = TrainingOptions(recipe="paper", epochs=EPOCHS).resolve(len(matrix), 32, 16)
    chain = FusedAutoencoder(matrix.dim, 32, 16)
    updater = FusedUpdater(matrix, chain, settings, Machine())
    updater.update()
    first, started = updater.iteration, time.perf_counter()
    while updater.iteration < settings.iterations:
        updater.update()
    return (updater.iteration - first) / (time.perf_counter() - started)


def train(out: str, *flags: str) -> tuple[Path, list[dict[str, float]]]:
    """Runs train_comp.py and returns the run directory and the log of its epochs."""
    run = train_comp.main(["--input-matrix", MATRIX, "--out", out, "--recipe", "paper", *flags])
    return run, json.loads((run / "chainer_report_epoch.log").read_text())


def whole_rate(out: str) -> float:
    """Returns the steps a second of train_comp.py, from the first epoch to the last."""
    _, log = train(out, "-e", str(EPOCHS))
    steps, seconds = (log[-1][key] - log[0][key] for key in ("iteration", "elapsed_time"))
    return steps / seconds


def main() -> None:
    """Prints both results."""
    matrix = EmbeddingMatrix.open(MATRIX)
    with tempfile.TemporaryDirectory() as out:
        raw_rate(matrix)  # compiles
        pairs = [(raw_rate(matrix), whole_rate(out)) for _ in range(ROUNDS)]
        started = time.perf_counter()
        run, log = train(out)
        seconds = time.perf_counter() - started
        distance = infer_comp.main(["--model", str(run)])
    raw, whole = np.median(pairs, axis=0)
    print(f"\n{describe()}; M=32, K=16, batch 64, D=300")
    print(f"raw steps: {raw:.0f} a second; train_comp.py: {whole:.0f}, {whole / raw:.1%}")
    losses = [entry["validation/main/loss"] for entry in log[-5:]]
    print(f"paper recipe, {log[-1]['iteration']} steps: {seconds:.0f} s")
    print(f"last five validation losses: {', '.join(f'{loss:.1f}' for loss in losses)}; ", end="")
    print(f"mean {np.mean(losses):.2f}; mean Euclidean distance {distance:.2f}")


if __name__ == "__main__":
    main()
