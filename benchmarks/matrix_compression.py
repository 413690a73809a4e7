#!/usr/bin/env python
"""Measure what compressing a model's matrices costs, in accuracy, bytes and time.

scikit-learn's digits, the two-layer perceptron of examples/mnist with its hidden layers
compressed; medians over seeds. An iteration's time is measured apart, on a layer of 1024 x 1024
and batches of 256, uncompressed and compressed in turn.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from datasets import read_dataset
from mnist.mnist_compression import MATCH, Perceptron
from training import FINAL, train

from benchmarks.machine import describe
from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import compress_chain, finalize

SEEDS, STEPS, ROUNDS = 5, 1_500, 25
RAMP = "begin_compression_step=400,compression_frequency=10,alpha_decrement_value=0.02"
METHODS = {
    "uncompressed": "compression_option=0",
    "low rank": "compression_option=1,rank=1000",
    "simhash": "compression_option=2,rank=12,begin_compression_step=900,compression_frequency=5",
    "dictionary learning": "compression_option=3,rank=800",
    "k-means, blocks of 2": "compression_option=4,rank=64,block_size=2",
    "compositional codes": "compression_option=5,rank=400,num_codewords=8",
    "pruning, k-means, blocks of 2": "compression_option=8,rank=64,block_size=2,"
    "pruning_fraction=0.3",
    "input-output": "compression_option=9,input_compression_factor=4,input_block_size=64,"
    "compress_output=True,output_compression_factor=2,output_block_size=64",
}
SIZE, BATCH = 1_024, 256
TIMED = {
    "low rank, rank 400": "compression_option=1,rank=400",
    "simhash, rank 400": "compression_option=2,rank=400",
    "dictionary learning, rank 400": "compression_option=3,rank=400",
    "k-means, 16 centroids": "compression_option=4,rank=16",
    "compositional codes, rank 400": "compression_option=5,rank=400",
    "input-output, 2 x 2": "compression_option=9,input_compression_factor=2,"
    "compress_output=True,output_compression_factor=2,output_block_size=32",
}


def main() -> None:
    """Prints two tables."""
    print(f"{describe()}\n")
    accuracies()
    times()


def accuracies() -> None:
    """Prints accuracy and bytes of each method."""
    datasets = read_dataset("digits", Path("data"))
    print(f"Digits, {STEPS:,} steps, medians of {SEEDS} seeds\n")
    print("| | accuracy | points lost | bytes of the layers | of | file, bytes over its factors |")
    print("| --- | --- | --- | --- | --- | --- |")
    baseline = None
    for name, hparams in METHODS.items():
        shares, sizes = [], ("", "", "")
        for seed in range(SEEDS):
            with tempfile.TemporaryDirectory() as out:
                share, table = train(
                    lambda: Perceptron(8), datasets, f"{RAMP},{hparams}", MATCH, out=Path(out),
                    max_steps=STEPS, seed=seed, quiet=True,
                )  # fmt: skip
                shares.append(share)
                if baseline is not None:
                    sizes = sizes_of(table, Path(out) / FINAL)
        share = statistics.median(shares)
        baseline = share if baseline is None else baseline
        lost = 100 * (baseline - share)
        print(f"| {name} | {share:.4f} | {lost:.1f} | {' | '.join(sizes)} |", flush=True)
    print()


def sizes_of(table: str, path: Path) -> tuple[str, str, str]:
    """Returns the layers' bytes, their ratio, and what the file has beside its arrays."""
    _, compressed, uncompressed, ratio = table.splitlines()[-1].split()[-4:]
    with np.load(path) as archive:
        arrays = [archive[name] for name in archive.files]
    beside = path.stat().st_size - sum(array.nbytes for array in arrays)
    return compressed, f"{uncompressed} ({ratio})", f"{beside:,} for {len(arrays)} arrays"


def times() -> None:
    """Prints the time of a step during the ramp, and of a forward pass after ``finalize``."""
    x = np.random.default_rng(0).normal(size=(BATCH, SIZE)).astype(np.float32)
    print(f"A layer of {SIZE} x {SIZE}, batches of {BATCH}; medians of {ROUNDS} rounds in turn\n")
    print("| | step in the ramp | 1.1 x (1 + ratio) | forward pass when finalized |")
    print("| --- | --- | --- | --- |")
    for name, hparams in TIMED.items():
        plain = step_of(layer(), x)
        model = layer()
        applied = compress_chain(model, f"{hparams},begin_compression_step=1,"
                                 "compression_frequency=1,alpha_decrement_value=0.5")  # fmt: skip
        compressed = step_of(model, x)
        applied.run_update_step(1)
        ramp = ratio_of(compressed, plain)
        allowed = 1.1 * (1 + applied.compressed_size / applied.uncompressed_size)
        applied.run_update_step(2)
        finalize(model)
        final = ratio_of(forward_of(model, x), forward_of(layer(), x))
        ramp_text = "no ramp" if "=9" in hparams else f"{ramp:.2f}"
        print(f"| {name} | {ramp_text} | {allowed:.2f} | {final:.2f} |", flush=True)


def layer() -> chainer.Sequential:
    """Returns a layer, with a small one after it."""
    np.random.seed(0)
    return chainer.Sequential(chainer.links.Linear(SIZE, SIZE))


def step_of(model: chainer.Chain, x: np.ndarray):
    """Returns a training step."""
    optimizer = chainer.optimizers.SGD(1e-6)
    optimizer.setup(model)
    inner = chainer.Variable(x)  # within a network: the input has a gradient too
    return lambda: optimizer.update(lambda: chainer.functions.sum(model(inner) ** 2))


def forward_of(model: chainer.Chain, x: np.ndarray):
    """Returns a forward pass."""

    def forward() -> None:
        with chainer.using_config("train", False), chainer.no_backprop_mode():
            model(x)

    return forward


def ratio_of(one, other) -> float:
    """Returns the median of one's times over the other's, in turn."""
    ratios = []
    for number in range(ROUNDS + 2):
        seconds = []
        for work in (one, other):
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
        if number >= 2:
            ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)


if __name__ == "__main__":
    main()
