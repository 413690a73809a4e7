#!/usr/bin/env python
"""Measure the gain of training in two processes over threads, and compare the results.

The same global batch is trained in one process with one thread, in one with two threads, and in
two processes (`mpiexec`, one flat buffer) with one thread each, in turn: the median of the rounds,
and the best. Steps a second are in wall time, without the first fifty; the only extension is
validation. Losses are compared at every fiftieth step and parameters at the last, with those of
one process with one thread.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.processes import open_processes
from nncompress.training.session import make_session
from nncompress.training.settings import TrainingOptions

# The number of processes, and of threads in each.
WAYS = [(1, 1), (1, 2), (2, 1)]
# The number of rows in a step, and of steps.
SIZES = [(64, 1_000), (512, 300), (4_096, 100)]
INTERVAL = 50
ROUNDS = 5


def train(matrix: str, batch_size: int, steps: int, threads: int, out: str) -> None:
    """Trains in this process and those started with it; the first one writes the results.

    Args:
        matrix: Path of the matrix.
        batch_size: Rows in a step, over all processes.
        steps: Number of steps, a multiple of 50.
        threads: Threads of this process.
        out: Path of the results: ``rate`` in steps a second, ``losses``, and ``parameters``.
    """
    processes = open_processes("flat")
    table = EmbeddingMatrix.open(matrix)
    settings = TrainingOptions(batch_size=batch_size).resolve(len(table), 32, 16)
    settings = replace(settings, iterations=steps)
    session = make_session(table, settings, Machine(threads=threads), processes=processes)
    losses, times = [], []

    @chainer.training.make_extension(trigger=(INTERVAL, "iteration"))
    def observe(trainer: chainer.training.Trainer) -> None:
        losses.append(float(trainer.observation["main/loss"]))
        times.append(time.perf_counter())

    session.trainer.extend(observe)
    session.trainer.run()
    if processes.is_first:
        parameters = [parameter.array.ravel() for _, parameter in session.chain.namedparams()]
        rate = (steps - INTERVAL) / (times[-1] - times[0])
        np.savez(out, rate=rate, losses=losses, parameters=np.concatenate(parameters))


def measured(matrix: str, size: tuple[int, int], way: tuple[int, int]) -> dict[str, np.ndarray]:
    """Trains in separate processes, and returns the results."""
    (batch_size, steps), (processes, threads) = size, way
    with tempfile.TemporaryDirectory() as directory:
        out = f"{directory}/result.npz"
        subprocess.run(
            [
                *(Path(sys.executable).with_name("mpiexec"), "-n", str(processes)),
                *(sys.executable, __file__, matrix, "--job"),
                *map(str, (batch_size, steps, threads, out)),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        with np.load(out) as file:
            return dict(file)


def main() -> None:
    """Prints a line for each size and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("matrix", nargs="?", default="data/fr300.npy")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)  # for processes started here
    arguments = parser.parse_args()
    if arguments.job is not None:
        batch_size, steps, threads, out = arguments.job
        train(arguments.matrix, int(batch_size), int(steps), int(threads), out)
        return
    print(f"{describe()}; M=32, K=16, {arguments.matrix}, load {os.getloadavg()[0]:.1f}")
    print("batch  processes  threads  steps/s  at best  loss apart  parameters apart")
    for size in SIZES:
        results = [
            [measured(arguments.matrix, size, way) for way in WAYS]
            for _ in range(arguments.rounds)
        ]
        one = results[0][0]
        for way, *rounds in zip(WAYS, *results, strict=True):
            loss = max(np.abs(each["losses"] / one["losses"] - 1).max() for each in rounds)
            apart = np.linalg.norm(rounds[0]["parameters"] - one["parameters"])
            apart /= np.linalg.norm(one["parameters"])
            rates = [each["rate"] for each in rounds]
            print(
                f"{size[0]:5}  {way[0]:9}  {way[1]:7}  {np.median(rates):7.1f}  "
                f"{max(rates):7.1f}  {loss:10.1e}  {apart:16.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
