#!/usr/bin/env python
"""Measure how close a training step comes to the speed of the machine's matrix product.

All contenders take turns in one process, and the figures are medians of the repeats: plain Chainer
as in the 2018 port (the table in an EmbedID, SerialIterator, StandardUpdater), this project's
plain Chain, PyTorch eager and compiled if torch is installed, and the fused step with all cores
and with one thread. The limit is the rate of `numpy.matmul` on 2048 x 2048 in float32, measured in
the same rounds, with all cores and with one.

For AVX2 kernels on a processor with AVX-512, set NUMBA_CPU_NAME=haswell, NUMBA_CPU_FEATURES= and
OPENBLAS_CORETYPE=Haswell. `--one-thread` measures only the fused step with one thread.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe
from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.fused import FusedAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine, usable_cores
from nncompress.sources import EmbeddingMatrix
from nncompress.training.fused_updater import FusedUpdater
from nncompress.training.settings import TrainingOptions
from nncompress.training.updater import AutoencoderUpdater

try:
    import torch
except ImportError:
    torch = None

F = chainer.functions
L = chainer.links

ROWS = 20_000
SIZES = [
    (300, 32, 16, 64),
    (300, 32, 16, 512),
    (300, 32, 16, 4_096),
    (50, 32, 16, 64),
    (50, 32, 16, 512),
    (768, 32, 16, 64),
    (768, 32, 16, 512),
    (300, 16, 32, 64),
    (300, 16, 32, 512),
    (300, 8, 256, 64),
    (300, 8, 256, 512),
]
ROUNDS = 7
ROUND_SECONDS = 0.4
SETTLING_SECONDS = 0.2


class PortedChain(chainer.Chain):
    """The network on word numbers, with the table in an EmbedID that is not updated."""

    def __init__(self, matrix: np.ndarray, num_codebooks: int, num_codewords: int) -> None:
        super().__init__()
        self.size = num_codebooks, num_codewords
        logits = num_codebooks * num_codewords
        init = chainer.initializers.Uniform(0.01)
        with self.init_scope():
            self.embed = L.EmbedID(*matrix.shape, initialW=matrix)
            self.l1 = L.Linear(matrix.shape[1], logits // 2, initialW=init, initial_bias=init)
            self.l2 = L.Linear(logits // 2, logits, initialW=init, initial_bias=init)
            self.codebook = chainer.Parameter(init, (logits, matrix.shape[1]))
        self.embed.disable_update()

    def forward(self, rows: np.ndarray) -> chainer.Variable:
        """Computes the loss of the rows with the given numbers."""
        x = self.embed(rows).array  # only the data: a gradient would be as large as the table
        logits = F.log(F.softplus(self.l2(F.tanh(self.l1(x)))) + 1e-8)
        logits = F.reshape(logits, (-1, self.size[1]))
        probabilities = F.gumbel_softmax(logits, tau=0.1)
        y = F.matmul(F.reshape(probabilities, (len(rows), -1)), self.codebook)
        loss = 0.5 * F.sum((y - x) ** 2) / len(rows)
        maxp = F.mean(F.max(probabilities, axis=1))
        chainer.report({"loss": loss, "maxp": maxp}, self)
        return loss


def ported(matrix: np.ndarray, m: int, k: int, batch: int) -> Callable[[], int]:
    """Returns a function that makes a step with plain Chainer, as in the port."""
    chain = PortedChain(matrix, m, k)
    optimizer = chainer.optimizers.Adam(1e-4)
    optimizer.setup(chain)
    numbers = np.arange(len(matrix), dtype=np.int32)
    iterator = chainer.iterators.SerialIterator(numbers, batch)
    updater = chainer.training.updaters.StandardUpdater(iterator, optimizer)

    def step() -> int:
        updater.update()
        return 1

    return step


def of_this_project(
    kind: type, update: type, threads: int | None = None
) -> Callable[..., Callable[[], int]]:
    """Returns a factory of functions that make steps with a chain of this project."""

    def make(matrix: np.ndarray, m: int, k: int, batch: int) -> Callable[[], int]:
        settings = TrainingOptions(batch_size=batch, epochs=10_000).resolve(len(matrix), m, k)
        machine = Machine(threads=threads)
        options = {"machine": machine} if kind is FusedAutoencoder else {}
        chain = kind(matrix.shape[1], m, k, init="scaled", **options)
        updater = update(EmbeddingMatrix(matrix), chain, settings, machine)

        def step() -> int:
            before = updater.iteration
            updater.update()
            return updater.iteration - before

        return step

    return make


def with_torch(compiled: bool) -> Callable[..., Callable[[], int]]:
    """Returns a factory of functions that make a PyTorch step: forward, backward and Adam."""

    def make(matrix: np.ndarray, m: int, k: int, batch: int) -> Callable[[], int]:
        table = torch.from_numpy(matrix)
        logits, dim = m * k, matrix.shape[1]
        l1, l2 = torch.nn.Linear(dim, logits // 2), torch.nn.Linear(logits // 2, logits)
        codebook = torch.nn.Parameter(0.01 * torch.randn(logits, dim))
        optimizer = torch.optim.Adam([*l1.parameters(), *l2.parameters(), codebook], 1e-4)

        def objective(x: "torch.Tensor", noise: "torch.Tensor") -> "torch.Tensor":
            z = torch.log(torch.nn.functional.softplus(l2(torch.tanh(l1(x)))) + 1e-8)
            p = torch.softmax((z.view(-1, m, k) - torch.log(noise)) / 0.1, dim=2)
            y = p.view(len(x), logits) @ codebook
            return 0.5 * ((y - x) ** 2).sum() / len(x) + 0.0 * p.amax(dim=2).mean()

        run = torch.compile(objective) if compiled else objective
        generator = torch.Generator().manual_seed(0)

        def step() -> int:
            x = table[torch.randint(len(table), (batch,), generator=generator)]
            noise = torch.empty(batch, m, k).exponential_(generator=generator)
            optimizer.zero_grad(set_to_none=True)
            run(x, noise).backward()
            optimizer.step()
            return 1

        return step

    return make


ALL_CORES, ONE_THREAD = "fused", "fused, one thread"
CONTENDERS = {
    "Chainer, as the port": ported,
    "Chainer, plain Chain": of_this_project(CompositionalAutoencoder, AutoencoderUpdater),
    ALL_CORES: of_this_project(FusedAutoencoder, FusedUpdater),
    ONE_THREAD: of_this_project(FusedAutoencoder, FusedUpdater, threads=1),
}
if torch is not None:
    torch.set_num_threads(usable_cores())
    CONTENDERS |= {"torch eager": with_torch(False), "torch.compile": with_torch(True)}


def operations(dim: int, m: int, k: int, batch: int) -> float:
    """Returns the floating-point operations of a step's products."""
    logits = m * k
    hidden = logits // 2
    return 2.0 * batch * (dim * hidden * 2 + hidden * logits * 3 + logits * dim * 3)


def rate(step: Callable[[], int], seconds: float) -> float:
    """Returns steps a second, measured once the last contender's threads stop spinning."""
    time.sleep(SETTLING_SECONDS)
    step()
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += step()
    return done / elapsed


def product_rate(a: np.ndarray, out: np.ndarray) -> float:
    """Returns the floating-point operations a second of one product."""
    started = time.perf_counter()
    np.matmul(a, a, out=out)
    return 2.0 * len(a) ** 3 / (time.perf_counter() - started)


def measure(
    contenders: dict, dim: int, m: int, k: int, batch: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Measures contenders in turn at one size, and the rate of the matrix product."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(ROWS, dim)).astype(np.float32)
    square = random.normal(size=(2_048, 2_048)).astype(np.float32)
    out = np.empty_like(square)
    steps = {name: make(matrix, m, k, batch) for name, make in contenders.items()}
    for step in steps.values():
        rate(step, ROUND_SECONDS)
    threads = {ALL_CORES: usable_cores(), ONE_THREAD: 1}
    rates: dict[str, list[float]] = {name: [] for name in steps}
    limits: dict[str, list[float]] = {name: [] for name in threads if name in steps}
    for _ in range(ROUNDS):
        for name, found in limits.items():
            with threadpool_limits(threads[name], user_api="blas"):
                product_rate(square, out)
                found.append(product_rate(square, out))
        for name, step in steps.items():
            rates[name].append(rate(step, ROUND_SECONDS))
    medians = (
        {name: float(np.median(each)) for name, each in found.items()} for found in (rates, limits)
    )
    return tuple(medians)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the first two sizes")
    parser.add_argument("--one-thread", action="store_true", help="only steps with one thread")
    args = parser.parse_args()
    contenders = CONTENDERS
    if args.one_thread:
        contenders = {ONE_THREAD: CONTENDERS[ONE_THREAD]}
    versions = f"Chainer {chainer.__version__}" + (f", torch {torch.__version__}" if torch else "")
    print(f"{describe()}, {versions}; steps a second, medians of {ROUNDS} rounds\n")
    columns = ["D", "M", "K", "batch", *contenders]
    columns += [
        f"{what} of {name}"
        for name in (ALL_CORES, ONE_THREAD)
        if name in contenders
        for what in ("sgemm, GFLOP/s,", "limit", "share")
    ]
    print(f"| {' | '.join(columns)} |")
    print("| --- " * len(columns) + "|")
    for size in SIZES[:2] if args.quick else SIZES:
        rates, limits = measure(contenders, *size)
        row = [*size, *(f"{rates[name]:.4g}" for name in contenders)]
        for name, limit in limits.items():
            most = limit / operations(*size)
            row += [f"{limit / 1e9:.0f}", f"{most:.4g}", f"{rates[name] / most:.0%}"]
        print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
