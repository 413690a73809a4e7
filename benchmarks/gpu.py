#!/usr/bin/env python
"""Measure the speed and the correctness of everything on a GPU.

One command, less than 8 minutes, on a synthetic matrix of 400,000 x 300 (sums of codewords plus
noise). It prints the versions used, and tables for `benchmarks/RESULTS-gpu.md`:
- loss and gradients compared with the plain Chain on the CPU, in TF32 and in full precision;
- optimizer steps a second: the updater alone, plain Chainer on the same GPU, and the same step in
  CuPy with cuBLAS and, recorded as a CUDA graph, with cuBLASLt if nvmath-python is installed;
  and the share of the device's rate of TF32 products;
- each of a step's products on its own, by the project's kernels and by cuBLAS;
- `train_comp.py` with its extensions;
- memory after a thousand and after 100,000 steps;
- encoding;
- a round of refinement, and the residual stage, on the GPU and on two CPU threads;
- a whole run: trained, refined and exported.

If a part fails, the reason is printed and the others still run; the exit status is then 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import infer_comp
import train_comp
from benchmarks.gpu_contenders import (
    BATCHES,
    CUPY,
    DIM,
    LIBRARIES,
    PRECISIONS,
    RECORDED_CUBLASLT,
    ROUNDS,
    ROWS,
    K,
    M,
    contenders,
)
from benchmarks.gpu_products import OWN
from benchmarks.gpu_timing import rate_of
from benchmarks.machine import describe
from benchmarks.train_step import PortedChain
from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import encode
from nncompress.autoencoder.forms import autoencoder_for
from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.runtime import first_reason
from nncompress.machine import Machine
from nncompress.refinement.engines import make_engine
from nncompress.refinement.refine import prepare_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.training.session import updater_for
from nncompress.training.settings import TrainingOptions
from nncompress.trellis.engines import make_engine as make_residual_engine
from nncompress.trellis.quantizer import Settings, fit

OPERATIONS_A_ROW = 6 * (DIM * M * K // 2 + M * K * M * K // 2 + M * K * DIM) - 2 * DIM * M * K // 2
CPU_ROWS = 20_000
RESIDUAL_ROWS, RESIDUAL_SAMPLE = 100_000, 20_000
REMEMBERED_STEPS = 1_000, 100_000
UPDATER, CHAINER = "updater", "plain Chainer"
STEP_SECONDS = 0.2


def made_up_matrix(rows: int) -> np.ndarray:
    """Returns rows that codes can partly represent, float32 ``(rows, DIM)``."""
    random = np.random.default_rng(0)
    codebook = random.normal(size=(M * K, DIM)).astype(np.float32)
    matrix = random.normal(size=(rows, DIM)).astype(np.float32) * 3
    for group in range(M):
        matrix += codebook[group * K + random.integers(K, size=rows)]
    return matrix


def ours(
    matrix: EmbeddingMatrix, machine: Machine, batch: int, **options: object
) -> Callable[[], int]:
    """Returns a function that makes steps of this project's updater."""
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
    """Returns a function that makes steps of plain Chainer on a GPU, as in the 2018 port."""
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
    """Prints the errors of loss and gradients against the plain Chain in float64 on the CPU."""
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


# In a separate process: the variable would affect other products too.
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


@dataclass
class Contender:
    """An implementation whose steps are timed.

    Attributes:
        name: Its name.
        batch: Rows in a step.
        precision: One of ``PRECISIONS``.
        rates: Steps a second, for each round.
        reason: The reason why there are no rates; None if there are.
    """

    name: str
    batch: int
    precision: str
    rates: list[float] = field(default_factory=list)
    reason: str | None = None

    @property
    def rate(self) -> float:
        """The median of the rates, or NaN."""
        return float(np.median(self.rates)) if self.rates else float("nan")

    @property
    def group(self) -> tuple[int, str]:
        """The group of contenders that it is compared with."""
        return self.batch, self.precision


def steps(matrix: np.ndarray, machine: Machine, gpu: int) -> None:
    """Prints steps a second, and the speed of their products."""
    others, products = timed_elsewhere(gpu)
    found = timed_here(matrix, machine) + others
    try:
        limit = product_rate(gpu)
        print(f"\nMatrix products in TF32, 8,192 x 8,192: {limit:.0f} TFLOP/s")
    except Exception as error:  # the steps have been timed anyway
        limit = float("nan")
        print(f"\nThe device's rate of products could not be measured: {first_reason(error)}")
    print_steps(found, limit)
    print_verdicts(found)
    for precision, entries in products.items():
        print_products(precision, entries)
    if not any(contender.rates for contender in found if contender.name == UPDATER):
        raise RuntimeError("the updater made no step")


def timed_elsewhere(gpu: int) -> tuple[list[Contender], dict[str, list[dict]]]:
    """Returns the contenders timed in separate processes, and the products by precision.

    Prints which processes failed, and why.
    """
    found, products = [], {}
    for precision in PRECISIONS:
        merged: dict[tuple[int, str], dict] = {}
        for library in LIBRARIES:
            for entry in contenders(gpu, precision, library):
                if "product" in entry:
                    # The project's own products are those of the last process, next to cuBLASLt's.
                    known = merged.setdefault((entry["batch"], entry["product"]["name"]), entry)
                    for part in ("rates", "errors", "reasons"):
                        known[part] = known[part] | entry[part]
                elif "batch" in entry:
                    given = {name: entry[name] for name in ("rates", "reason") if name in entry}
                    found.append(Contender(entry["contender"], entry["batch"], precision, **given))
                else:
                    who = entry.get("contender", f"the process of {library}")
                    print(f"{who}, {precision}: {entry['reason']}")
        products[precision] = list(merged.values())
    return found, products


def timed_here(matrix: np.ndarray, machine: Machine) -> list[Contender]:
    """Returns the updater and plain Chainer, timed in turn."""
    rows, device = EmbeddingMatrix(matrix), machine.device
    makers: list[tuple[Contender, Callable[[], Callable[[], int]]]] = []
    for batch in BATCHES:
        for precision in PRECISIONS:
            full = precision == "float32"
            make = partial(ours, rows, machine, batch, full_precision=full)
            makers.append((Contender(UPDATER, batch, precision), make))
        make = partial(plain, matrix, device, batch)
        makers.append((Contender(CHAINER, batch, "float32"), make))
    make = partial(ours, rows, machine, BATCHES[-1], matrix_dtype="float16")
    makers.append((Contender(f"{UPDATER}, float16 matrix", BATCHES[-1], "TF32"), make))
    synchronize = machine.xp.cuda.Device().synchronize
    made: dict[int, Callable[[], int]] = {}
    for _ in range(ROUNDS):
        for index, (contender, make) in enumerate(makers):
            if contender.reason is None:
                try:
                    if index not in made:
                        made[index] = make()
                    contender.rates.append(rate_of(made[index], synchronize, STEP_SECONDS))
                except Exception as error:  # the others are still measured
                    contender.reason = first_reason(error)
    return [contender for contender, _ in makers]


def print_steps(found: Sequence[Contender], limit: float) -> None:
    """Prints a table of steps a second."""
    print("\n| steps a second | median | lowest | highest | TFLOP/s of its products | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for contender in sorted(found, key=lambda contender: contender.group):
        name = f"{contender.name}, batch {contender.batch:,}, {contender.precision}"
        if not contender.rates:
            print(f"| {name} | none: {contender.reason} | | | | |")
            continue
        speed = contender.rate * contender.batch * OPERATIONS_A_ROW / 1e12
        print(
            f"| {name} | {contender.rate:.0f} | {min(contender.rates):.0f} | "
            f"{max(contender.rates):.0f} | {speed:.1f} | {speed / limit:.1%} |"
        )


def print_verdicts(found: Sequence[Contender]) -> None:
    """Prints the fastest contender for each batch, and how the project's own products compare."""
    print()
    plainly = {c.batch: c.rate for c in found if c.name == CHAINER and c.rates}
    for group in sorted({contender.group for contender in found}):
        racing = {c.name: c.rate for c in found if c.group == group and c.rates}
        batch, precision = group
        if not racing:
            continue
        line = f"batch {batch:,}, {precision}: fastest is {max(racing, key=racing.__getitem__)}"
        rivals = {name: rate for name, rate in racing.items() if name.startswith(CUPY)}
        if UPDATER in racing and rivals:
            rival = max(rivals, key=rivals.__getitem__)
            ratio = racing[UPDATER] / rivals[rival]
            line += f"; own products: {ratio:.2f} times cuBLAS's ({rival})"
        if UPDATER in racing and batch in plainly:
            line += f"; {racing[UPDATER] / plainly[batch]:.1f} times plain Chainer's steps"
        print(line)


def print_products(precision: str, entries: Sequence[dict]) -> None:
    """Prints the speed of each of a step's products on its own.

    Args:
        precision: One of ``PRECISIONS``.
        entries: Dictionaries with the fields of a ``ProductTimes``, and ``batch``.
    """
    if not entries:
        return
    headings = {
        OWN: "own, recorded",
        CUPY: f"{CUPY}, launched one by one",
        RECORDED_CUBLASLT: RECORDED_CUBLASLT,
    }
    columns = f"a product in {precision}, TFLOP/s", "batch", "m, n, k", *headings.values()
    print(f"\n| {' | '.join(columns)} | own over the fastest |")
    print("| --- " * (len(columns) + 1) + "|")
    seconds: dict[int, dict[str, float]] = {}
    for entry in entries:
        rates, cells = {}, []
        for name in headings:
            error = entry["errors"].get(name)
            if error is None:
                cells.append(entry["reasons"].get(name, "-"))
            elif not error < PRECISIONS[precision]:
                cells.append(f"wrong by {error:.2g}")
            else:
                rates[name] = entry["rates"][name]
                cells.append(f"{rates[name]:.1f}")
        name, sizes = entry["product"]["name"], entry["product"]["sizes"]
        together = seconds.setdefault(entry["batch"], dict.fromkeys(headings, 0.0))
        for who in headings:
            together[who] += 2e-12 * float(np.prod(sizes)) / rates.get(who, float("nan"))
        cells = [name, f"{entry['batch']:,}", ", ".join(map("{:,}".format, sizes)), *cells]
        print(f"| {' | '.join(cells)} | {_ratio(rates)} |")
    print()
    for batch, together in seconds.items():
        rates = {name: 1 / value for name, value in together.items() if value > 0}
        told = "; ".join(f"{headings[who]}: {1e6 / rate:.1f} µs" for who, rate in rates.items())
        print(
            f"a step's products at batch {batch:,}, {precision}: {told}; own products: "
            f"{_ratio(rates)} times cuBLAS's"
        )


def _ratio(rates: dict[str, float]) -> str:
    """Returns the speed of the project's products relative to the fastest of the others."""
    rivals = [rate for name, rate in rates.items() if name != OWN]
    return f"{rates[OWN] / max(rivals):.2f}" if OWN in rates and rivals else "-"


def with_extensions(path: Path, gpu: int) -> None:
    """Prints the steps a second of `train_comp.py`."""
    with tempfile.TemporaryDirectory() as out:
        run = train_comp.main(
            ["-g", str(gpu), "--input-matrix", str(path), "--out", out, "--recipe", "paper",
             "-e", "16"]
        )  # fmt: skip
        log = json.loads((run / "chainer_report_epoch.log").read_text())
    made, seconds = (log[-1][key] - log[0][key] for key in ("iteration", "elapsed_time"))
    print(
        f"\n`train_comp.py` with its extensions, {made:,} steps of 64: "
        f"{made / seconds:.0f} a second"
    )


def memory(matrix: np.ndarray, machine: Machine) -> None:
    """Prints the memory in use after few steps and after many."""
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
    """Prints the rates of refinement's passes on the GPU and on two CPU threads."""
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
    """Prints the rates of the residual stage on the GPU and on two CPU threads.

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
    same = "the same" if written["GPU"] == written["CPU"] else "DIFFERENT"
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
    """Prints the time of a whole run, and its mean distance."""
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


def failed(sections: dict[str, Callable[[], None]]) -> list[str]:
    """Runs sections, prints which fail and why, and returns their names."""
    names = []
    for name, section in sections.items():
        try:
            section()
        except (Exception, SystemExit):  # the others' figures are still wanted
            names.append(name)
            print(f"\n{name} FAILED:\n{traceback.format_exc()}")
        sys.stdout.flush()
    return names


def main() -> int:
    """Prints everything, and returns 1 if something failed."""
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
        names = failed(
            {
                "correctness": partial(correctness, machine),
                "steps": partial(steps, matrix, machine, gpu),
                "train_comp.py": partial(with_extensions, path, gpu),
                "memory": partial(memory, matrix, machine),
                "encoding": partial(encoding, matrix, machine),
                "refinement": partial(refinement, matrix, gpu),
                "the residual stage": partial(residual_stage, matrix, gpu),
                "a whole run": partial(whole_run, path, gpu),
            }
        )
    if names:
        print(f"\nFailed: {', '.join(names)}")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
