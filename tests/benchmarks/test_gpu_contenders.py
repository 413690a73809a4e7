"""What the process that times contenders prints, with the emulator for a GPU."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import gpu_contenders
from benchmarks.gpu_contenders import (
    CUBLASLT,
    CUPY,
    RECORDED_CUBLASLT,
    RECORDED_CUPY,
    contenders,
    measure,
)
from tests.cuda_on_cpu.array_kernels import ArrayLibrary
from tests.cuda_on_cpu.runtime import EmulatedRuntime
from tests.gpu.conftest import needs_compiler


class Library(ArrayLibrary):
    cuda = SimpleNamespace(Device=lambda: SimpleNamespace(synchronize=lambda: None))


class Refusing(EmulatedRuntime):
    """Records what does not multiply, as CuPy does."""

    xp = Library()

    def record(self, function):
        raise NotImplementedError("cuBLAS cannot be recorded")


@pytest.fixture
def small(monkeypatch):
    numbers = {"ROWS": 90, "DIM": 12, "M": 2, "K": 4, "BATCHES": (8, 16), "_SECONDS": 0.001}
    for name, value in numbers.items():
        monkeypatch.setattr(gpu_contenders, name, value)
    monkeypatch.setattr("benchmarks.gpu_products.seconds_of", lambda launch, *_: launch() or 1.0)
    monkeypatch.setattr("benchmarks.gpu_products._LAUNCHES", 1)


@pytest.fixture
def runtime():
    runtime = EmulatedRuntime()
    runtime.xp = Library()
    return runtime


@needs_compiler
@pytest.mark.parametrize("precision", gpu_contenders.PRECISIONS)
def test_everything_is_measured(small, runtime, precision):
    entries = [json.loads(json.dumps(entry)) for entry in measure(runtime, precision, "cuBLAS")]
    steps = [entry for entry in entries if "contender" in entry]
    assert [(entry["batch"], entry["contender"]) for entry in steps] == [
        *((batch, CUPY) for batch in (8, 16)),
        *((batch, RECORDED_CUPY) for batch in (8, 16)),
    ]
    assert all(len(entry["rates"]) == gpu_contenders.ROUNDS for entry in steps)
    products = [entry for entry in entries if "product" in entry]
    assert len(products) == 2 * 8
    assert all(entry["rates"].keys() == {"own", CUPY} for entry in products)


@needs_compiler
def test_cublaslt_is_measured_where_it_is(small, runtime, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvmath", SimpleNamespace(bindings=None))
    monkeypatch.setattr(gpu_contenders, "CublasLt", lambda *_: np.dot)
    entries = list(measure(runtime, "TF32", "cuBLASLt"))
    steps = [entry["contender"] for entry in entries if "rates" in entry and "contender" in entry]
    assert steps == [CUBLASLT] * 2 + [RECORDED_CUBLASLT] * 2
    products = [entry for entry in entries if "product" in entry]
    assert all(entry["rates"].keys() == {"own", RECORDED_CUBLASLT} for entry in products)


def test_a_package_that_is_not_there_is_the_reason(small, runtime, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvmath", None)
    (entry,) = measure(runtime, "TF32", "cuBLASLt")
    assert entry["contender"] == CUBLASLT
    assert "nvmath-python cannot be used here" in entry["reason"]


@needs_compiler
def test_what_cannot_be_recorded_has_its_reason(small):
    entries = list(measure(Refusing(), "float32", "cuBLAS"))
    reasons = [entry["reason"] for entry in entries if entry.get("contender") == RECORDED_CUPY]
    assert reasons == ["cuBLAS cannot be recorded"] * 2
    products = [entry for entry in entries if "product" in entry]
    assert all(entry["reasons"].keys() == {"own"} for entry in products)
    assert all(entry["rates"].keys() == {CUPY} for entry in products)


@needs_compiler
def test_wrong_numbers_are_not_timed(small, runtime, monkeypatch):
    monkeypatch.setattr(gpu_contenders, "PRECISIONS", {"float32": 1e-12})
    entries = measure(runtime, "float32", "cuBLAS")
    steps = [entry for entry in entries if "contender" in entry]
    assert all("rates" not in entry for entry in steps)
    assert "gradients are off" in steps[0]["reason"]


@pytest.mark.parametrize("status", [0, 3])
def test_what_was_printed_before_a_bad_end_is_kept(monkeypatch, status):
    def run(command, stdout, stderr, **_):
        stdout.write('{"batch": 64}\n{"ba')
        stderr.write("Traceback\nValueError: no\n")
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(subprocess, "run", run)
    found = list(contenders(0, "TF32", "cuBLAS"))
    assert found[0] == {"batch": 64}
    assert found[1:] == ([{"reason": "exit status 3: ValueError: no"}] if status else [])
