"""Steps that the project's GPU step is compared with, timed in separate processes.

CuPy has one precision of products per process, and after a GPU error a process cannot use the GPU
again, so there is a process for each library and precision. Measurements are printed as they are
made, one JSON entry per line, so that they are available even if the process fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.gpu_cublaslt import CublasLt
from benchmarks.gpu_products import step_products, time_product
from benchmarks.gpu_steps import ArrayStep, Multiply
from benchmarks.gpu_timing import rate_of
from nncompress.autoencoder.chain import hidden_units
from nncompress.gpu.runtime import Runtime, first_reason, open_gpu
from nncompress.gpu.step import Sizes
from nncompress.gpu.verdicts import WrongNumbersError

ROWS, DIM, M, K = 400_000, 300, 32, 16
BATCHES = 64, 512, 16_384
ROUNDS = 5
# Name, and the largest allowed relative error of gradients, by norm.
PRECISIONS: Mapping[str, float] = {"TF32": 1e-2, "float32": 1e-4}
CUPY, CUBLASLT = "CuPy with cuBLAS", "CuPy with cuBLASLt"
RECORDED_CUPY, RECORDED_CUBLASLT = f"{CUPY}, recorded", f"{CUBLASLT}, recorded"
LIBRARIES = "cuBLAS", "cuBLASLt"
_GRAPH_STEPS = 10
_SECONDS = 0.15
_LIMIT = 120  # seconds of a process


def contenders(gpu: int, precision: str, library: str) -> Iterator[dict]:
    """Yields the measurements of a separate process.

    Args:
        gpu: Number of the GPU.
        precision: One of ``PRECISIONS``.
        library: One of ``LIBRARIES``.

    Yields:
        Entries as ``measure`` yields them, and at the end, if the process failed, one with just a
        ``reason``.
    """
    command = [sys.executable, __file__, "--gpu", str(gpu)]
    command += ["--precision", precision, "--library", library]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run(command, stdout=out, stderr=errors, timeout=_LIMIT, check=False)
            reason = f"exit status {done.returncode}" if done.returncode else None
        except subprocess.TimeoutExpired:
            reason = f"it took more than {_LIMIT} s"
        out.seek(0)
        errors.seek(0)
        yield from (json.loads(line) for line in out if line.startswith("{") and line[-1] == "\n")
        if reason:
            lines = errors.read().split("\n")
            yield {"reason": ": ".join([reason, *[line for line in lines if line][-1:]])}


def measure(runtime: Runtime, precision: str, library: str) -> Iterator[dict]:
    """Measures steps and products.

    Args:
        runtime: The GPU.
        precision: One of ``PRECISIONS``.
        library: One of ``LIBRARIES``.

    Yields:
        ``batch``, ``contender`` and either its ``rates`` in steps a second or the ``reason`` for
        having none; for each product, ``batch`` and the fields of a ``ProductTimes``.
    """
    tf32 = precision == "TF32"
    multiply, launched, recorded = runtime.xp.dot, CUPY, RECORDED_CUPY
    if library == "cuBLASLt":
        launched, recorded = CUBLASLT, RECORDED_CUBLASLT
        try:
            from nvmath import bindings

            multiply = CublasLt(runtime, bindings, tf32)
        except Exception as error:  # whatever is raised if it or a library is missing
            reason = f"nvmath-python cannot be used here: {first_reason(error)}"
            yield {"contender": CUBLASLT, "reason": reason}
            return
    race = _Race(runtime, precision, multiply)
    for batch in BATCHES:
        yield race.run(batch, launched, recorded=False)
    sizes = race.sizes
    kernels = runtime.load("step", VECTOR=sizes.vector, FULL_PRECISION=int(not tf32))
    others = [(CUPY, multiply, False) if library == "cuBLAS" else (recorded, multiply, True)]
    for batch in BATCHES:
        for product in step_products(sizes, batch):
            times = time_product(product, sizes, runtime, kernels, others)
            yield {"batch": batch} | asdict(times)
    # Last, since CuPy 14 refuses to record cuBLAS, and failures may leave something behind.
    for batch in BATCHES:
        yield race.run(batch, recorded, recorded=True)


class _Race:
    """Steps of one network on one table."""

    def __init__(self, runtime: Runtime, precision: str, multiply: Multiply) -> None:
        self._runtime = runtime
        self._precision = precision
        self._multiply = multiply
        xp, random = runtime.xp, np.random.default_rng(0)
        self._table = xp.asarray(random.standard_normal((ROWS, DIM), dtype=np.float32))
        self._order = xp.asarray(random.permutation(ROWS).astype(np.int32))
        self.sizes = Sizes(DIM, hidden_units(M, K), M, K)
        self._initial = [
            random.standard_normal(shape) / np.sqrt(shape[-1]) for shape in self.sizes.shapes
        ]

    def run(self, batch: int, name: str, *, recorded: bool) -> dict:
        """Returns the entry of a contender."""
        found: dict = {"batch": batch, "contender": name}
        synchronize = self._runtime.xp.cuda.Device().synchronize
        try:
            step = self._step(batch)
            make = _recorded(self._runtime, step) if recorded else _launched(step)
            found["rates"] = [rate_of(make, synchronize, _SECONDS) for _ in range(ROUNDS)]
        except Exception as error:  # whatever CuPy, a compiler or a driver raises
            found["reason"] = first_reason(error)
        return found

    def _step(self, batch: int) -> ArrayStep:
        """Returns a step, checking its gradients against those of the same step in float64."""
        xp = self._runtime.xp
        step = ArrayStep(
            xp, self._table, self._order, self.sizes, batch, self._initial, self._multiply
        )
        rows = self._table[self._order[:batch]].astype(np.float64)
        order = xp.arange(batch, dtype=np.int32)
        exact = ArrayStep(xp, rows, order, self.sizes, batch, self._initial, xp.dot)
        for each in (step, exact):
            each.find_gradients()
        worst = max(
            float(xp.linalg.norm(found - wanted) / xp.linalg.norm(wanted))
            for found, wanted in zip(step.gradients, exact.gradients, strict=True)
        )
        if not worst < PRECISIONS[self._precision]:
            raise WrongNumbersError(f"its gradients are off by {worst:.2g}")
        return step


def _launched(step: ArrayStep) -> Callable[[], int]:
    def make() -> int:
        step()
        return 1

    return make


def _recorded(runtime: Runtime, step: ArrayStep) -> Callable[[], int]:
    step()

    def steps() -> None:
        for _ in range(_GRAPH_STEPS):
            step()

    launch = runtime.record(steps)

    def make() -> int:
        launch()
        return _GRAPH_STEPS

    return make


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", type=int, default=0, help="number of the GPU")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="TF32")
    parser.add_argument("--library", choices=LIBRARIES, default=LIBRARIES[0])
    given = parser.parse_args()
    os.environ["CUPY_TF32"] = str(int(given.precision == "TF32"))  # read at the first product
    for entry in measure(open_gpu(given.gpu), given.precision, given.library):
        print(json.dumps(entry), flush=True)


if __name__ == "__main__":
    main()
