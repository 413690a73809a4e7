#!/usr/bin/env python
"""Measure how fast and how right everything is on a GPU.

One command, less than 8 minutes, on a made-up matrix of 400,000 x 300 (sums of codewords, and
noise). It prints what ran, and tables for `benchmarks/RESULTS-gpu.md`:
- loss and gradients against the plain Chain on the CPU, in TF32 and in full precision;
- optimizer steps a second: plain Chainer on the same GPU, the updater alone, and `train_comp.py`
  with its extensions; and the share of the device's rate of TF32 products at batch 16,384;
- memory after a thousand and after 100,000 steps;
- encoding;
- a round of refinement, and the residual stage, on the GPU and on two threads of the CPU;
- a whole run: trained, refined and exported.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import infer_comp
import train_comp
from benchmarks.machine import describe
from benchmarks.train_step import PortedChain
from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import encode
from nncompress.autoencoder.forms import autoencoder_for
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.refinement.engines import make_engine
from nncompress.refinement.refine import prepare_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.training.session import updater_for
from nncompress.training.settings import TrainingOptions
from nncompress.trellis.engines import make_engine as make_residual_engine
from nncompress.trellis.quantizer import Settings, fit

ROWS, DIM, M, K = 400_000, 300, 32, 16
OPERATIONS_A_ROW = 6 * (DIM * M * K // 2 + M * K * M * K // 2 + M * K * DIM) - 2 * DIM * M * K // 2
ROUNDS = 5
CPU_ROWS = 20_000
RESIDUAL_ROWS, RESIDUAL_SAMPLE = 100_000, 20_000
REMEMBERED_STEPS = 1_000, 100_000


def made_up_matrix(rows: int) -> np.ndarray:
    """Returns rows that codes can stand for in part, float32 ``(rows, DIM)``."""
    random = np.random.default_rng(0)
    codebook = random.normal(size=(M * K, DIM)).astype(np.float32)
    matrix = random.normal(size=(rows, DIM)).astype(np.float32) * 3
    for group in range(M):
        matrix += codebook[group * K + random.integers(K, size=rows)]
    return matrix


def rate_of(make: Callable[[], int], seconds: float = 1.0) -> float:
    """Returns steps a second: those of a second or so, after as many that do not count."""
    synchronize = chainer.backends.cuda.cupy.cuda.Device().synchronize
    for _ in range(2):
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            steps += make()
            if steps > 100_000:
                break
        synchronize()
        elapsed = time.perf_counter() - started
    return steps / elapsed


def ours(
    matrix: EmbeddingMatrix, machine: Machine, batch: int, **options: object
) -> Callable[[], int]:
    """Returns what makes steps of this project's updater."""
    settings = TrainingOptions(batch_size=batch, epochs=10_000, **options).resolve(
        len(matrix), M, K
    )
    chain = autoencoder_for(machine, settings.full_precision)(
        DIM, M, K, normalization=matrix.normalization, init="scaled"
    )
    chain.to_device(machine.device)
    updater = updater_for(machine)(matrix, chain, settings, machine)

    def make() -> int:
        before = updater.iteration
        updater.update()
        return updater.iteration - before

    return make


def plain(matrix: np.ndarray, device, batch: int) -> Callable[[], int]:
    """Returns what makes steps of Chainer alone, as the 2018 port had it, on a GPU."""
    chain = PortedChain(matrix, M, K)
    chain.to_device(device)
    optimizer = chainer.optimizers.Adam(1e-4).setup(chain)
    iterator = chainer.iterators.SerialIterator(np.arange(len(matrix), dtype=np.int32), batch)
    updater = chainer.training.updaters.StandardUpdater(iterator, optimizer, device=device)

    def make() -> int:
        updater.update()
        return 1

    return make


def correctness(machine: Machine) -> None:
    """Prints how far loss and gradients are from the plain Chain's in float64 on the CPU."""
    random = np.random.default_rng(1)
    x = random.normal(size=(64, DIM)).astype(np.float32)
    noise = random.gumbel(size=(64, M, K)).astype(np.float32)
    options = {"init": "scaled", "seed": 3, "tau": 0.5}
    reference = CompositionalAutoencoder(DIM, M, K, dtype=np.float64, **options)
    loss = reference(x.astype(np.float64), noise.astype(np.float64))
    reference.cleargrads()
    loss.backward()
    print("| precision | loss, relative error | largest relative error of a gradient |")
    print("| --- | --- | --- |")
    for name, full in (("TF32", False), ("float32", True)):
        chain = autoencoder_for(machine, full)(DIM, M, K, **options)
        chain.to_device(machine.device)
        found = chain(machine.device.send(x), machine.device.send(noise))
        chain.cleargrads()
        found.backward()
        error = abs(float(found.array) / float(loss.array) - 1)
        gradients = max(
            np.linalg.norm(chainer.backends.cuda.to_cpu(ours.grad) - theirs.grad)
            / np.linalg.norm(theirs.grad)
            for (_, ours), (_, theirs) in zip(
                sorted(chain.namedparams()), sorted(reference.namedparams()), strict=True
            )
        )
        print(f"| {name} | {error:.2g} | {gradients:.2g} |")


# In a process of its own: the variable would change other products too.
PRODUCT_RATE = f"""
import cupy
a, b = (cupy.random.standard_normal((8192, 8192), dtype=cupy.float32) for _ in range(2))
out = cupy.empty_like(a)
rates = []
for _ in range({ROUNDS + 2}):
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    begin.record()
    for _ in range(4):
        cupy.matmul(a, b, out=out)
    end.record()
    end.synchronize()
    rates.append(8 * 8192**3 / (cupy.cuda.get_elapsed_time(begin, end) * 1e9))
print(sorted(rates[2:])[len(rates[2:]) // 2])
"""


def product_rate(gpu: int) -> float:
    """Returns the device's rate of TF32 products, in TFLOP/s."""
    environment = os.environ | {"CUPY_TF32": "1", "CUDA_VISIBLE_DEVICES": str(gpu)}
    command = [sys.executable, "-c", PRODUCT_RATE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def steps(matrix: np.ndarray, path: Path, machine: Machine, gpu: int) -> None:
    """Prints steps a second."""
    rows = EmbeddingMatrix(matrix)
    contenders = {
        "plain Chainer, batch 64": plain(matrix, machine.device, 64),
        "updater, batch 64": ours(rows, machine, 64),
        "updater, batch 64, --fp32": ours(rows, machine, 64, full_precision=True),
        "updater, batch 512": ours(rows, machine, 512),
        "updater, batch 16,384": ours(rows, machine, 16_384),
        "updater, batch 16,384, float16 matrix": ours(
            rows, machine, 16_384, matrix_dtype="float16"
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, make in contenders.items():
            rates[name].append(rate_of(make, 0.7))
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    limit = product_rate(gpu)
    print(f"\nMatrix products in TF32, 8,192 x 8,192: {limit:.0f} TFLOP/s\n")
    print("| steps a second | median | lowest | highest | TFLOP/s of its products | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, values in rates.items():
        batch = int(name.split("batch ")[1].split(", -")[0].split(", f")[0].replace(",", ""))
        speed = medians[name] * batch * OPERATIONS_A_ROW / 1e12
        print(
            f"| {name} | {medians[name]:.0f} | {min(values):.0f} | {max(values):.0f} | "
            f"{speed:.1f} | {speed / limit:.1%} |"
        )
    print(
        f"\nupdater over plain Chainer, batch 64: "
        f"{medians['updater, batch 64'] / medians['plain Chainer, batch 64']:.1f} times"
    )
    with tempfile.TemporaryDirectory() as out:
        run = train_comp.main(
            ["-g", str(gpu), "--input-matrix", str(path), "--out", out, "--recipe", "paper",
             "-e", "16"]
        )  # fmt: skip
        log = json.loads((run / "chainer_report_epoch.log").read_text())
    made, seconds = (log[-1][key] - log[0][key] for key in ("iteration", "elapsed_time"))
    print(
        f"`train_comp.py` with its extensions, {made:,} steps of 64: {made / seconds:.0f} a second"
    )


def memory(matrix: np.ndarray, machine: Machine) -> None:
    """Prints the memory that is taken after few steps and after many."""
    make = ours(EmbeddingMatrix(matrix), machine, 64)
    xp = machine.xp
    pool, seen = xp.get_default_memory_pool(), {}
    done = 0
    for wanted in REMEMBERED_STEPS:
        while done < wanted:
            done += make()
        free, total = xp.cuda.Device().mem_info
        seen[wanted] = pool.used_bytes(), total - free
    print(f"\nBytes in use and taken from the device after steps: {seen}")


def refinement(matrix: np.ndarray, gpu: int) -> None:
    """Prints the rates of refinement's passes on the GPU and on two threads of the CPU."""
    codes = np.zeros((len(matrix), M), np.uint8)
    codebook = np.random.default_rng(2).normal(size=(M * K, DIM)).astype(np.float32)
    sides = {
        "GPU": (matrix, make_engine(Machine(gpu))),
        "CPU": (matrix[:CPU_ROWS], make_engine(Machine(threads=2))),
    }
    passes = {
        "annealing, 4 sweeps": lambda rows, unit: rows.relax([unit] * 4),
        "ICM, 32 trials": lambda rows, unit: rows.improve(32, 1.7 * unit),
        "beam search of 64": lambda rows, unit: rows.search(64),
    }
    rates: dict[str, dict[str, float]] = {name: {} for name in passes}
    for side, (part, engine) in sides.items():
        rows = prepare_rows(EmbeddingMatrix(part), codes[: len(part)], codebook, None, 0, engine)
        rows.relax([0.0] * 2)
        unit = rows.temperature
        for name, make in passes.items():
            times = []
            for _ in range(3):
                started = time.perf_counter()
                make(rows, unit)
                times.append(time.perf_counter() - started)
            rates[name][side] = len(part) / float(np.median(times))
    print("\n| a pass of refinement, rows a second | GPU | CPU, two threads | times |")
    print("| --- | --- | --- | --- |")
    for name, rate in rates.items():
        ratio = rate["GPU"] / rate["CPU"]
        print(f"| {name} | {rate['GPU']:,.0f} | {rate['CPU']:,.0f} | {ratio:.0f} |")


def residual_stage(matrix: np.ndarray, gpu: int) -> None:
    """Prints the rates of the residual stage on the GPU and on two threads of the CPU.

    The step is for about two bits a dimension. Rows are projected on the CPU for both.
    """
    settings = Settings(step=float(np.sqrt(0.3 * matrix.var(axis=0).mean())))
    sides = {
        "GPU": (matrix[:RESIDUAL_ROWS], make_residual_engine(Machine(gpu))),
        "CPU": (matrix[:CPU_ROWS], make_residual_engine(Machine(threads=2))),
    }
    rates: dict[str, dict[str, float]] = {}
    written = {}
    for side, (rows, engine) in sides.items():
        sample = rows[:RESIDUAL_SAMPLE]
        quantizer, _ = fit(sample, None, settings, engine)
        coded = quantizer.code(rows, None, engine)
        parts = {
            "fitting": (len(sample), partial(fit, sample, None, settings, engine)),
            "coding": (len(rows), partial(quantizer.code, rows, None, engine)),
            "writing": (len(rows), partial(quantizer.write, coded, engine)),
        }
        for name, (count, make) in parts.items():
            times = []
            for _ in range(3):
                started = time.perf_counter()
                make()
                times.append(time.perf_counter() - started)
            rates.setdefault(name, {})[side] = count / float(np.median(times))
        data, lengths = quantizer.write(coded, engine)
        written[side] = data[: int(lengths[:CPU_ROWS].sum())].tobytes()
    print("\n| the residual stage, rows a second | GPU | CPU, two threads | times |")
    print("| --- | --- | --- | --- |")
    for name, rate in rates.items():
        ratio = rate["GPU"] / rate["CPU"]
        print(f"| {name} | {rate['GPU']:,.0f} | {rate['CPU']:,.0f} | {ratio:.0f} |")
    same = "the same" if written["GPU"] == written["CPU"] else "OTHERS"
    bits = 8 * len(written["CPU"]) / (CPU_ROWS * DIM)
    print(f"\nThe GPU's bytes of {CPU_ROWS:,} rows, {bits:.2f} bits a dimension: {same}")


def encoding(matrix: np.ndarray, machine: Machine) -> None:
    """Prints the rate of encoding."""
    chain = autoencoder_for(machine)(DIM, M, K, init="scaled")
    chain.to_device(machine.device)
    rows, times = EmbeddingMatrix(matrix), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        encode(chain, rows, machine)
        times.append(time.perf_counter() - started)
    print(f"\nEncoding {len(matrix):,} rows: {np.median(times):.2f} s")


def whole_run(path: Path, gpu: int) -> None:
    """Prints how long a run takes, and how it ends."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        run = train_comp.main(["-g", str(gpu), "--input-matrix", str(path), "--out", out])
        trained = time.perf_counter() - started
        distance = infer_comp.main(["-g", str(gpu), "--model", str(run)])
        seconds = time.perf_counter() - started
    print(
        f"\n{ROWS:,} x {DIM}, fast recipe: trained in {trained:.1f} s, with refinement and export "
        f"{seconds:.1f} s; mean Euclidean distance {distance:.5g}"
    )


def main() -> None:
    """Prints everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-g", "--gpu", type=int, default=0, help="number of the GPU")
    gpu = parser.parse_args().gpu
    machine = Machine(gpu)
    machine.use()
    xp = machine.xp
    name = xp.cuda.runtime.getDeviceProperties(gpu)["name"].decode()
    print(f"{name}; CuPy {xp.__version__}; {describe()}; D={DIM}, M={M}, K={K}\n")
    matrix = made_up_matrix(ROWS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.npy"
        np.save(path, matrix)
        correctness(machine)
        steps(matrix, path, machine, gpu)
        memory(matrix, machine)
        encoding(matrix, machine)
        refinement(matrix, gpu)
        residual_stage(matrix, gpu)
        whole_run(path, gpu)


if __name__ == "__main__":
    main()
