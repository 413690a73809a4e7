"""What the process that times contenders prints, with the emulator for a GPU."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from benchmarks import gpu_contenders
from benchmarks.gpu_contenders import CUBLASLT, CUPY, contenders, measure
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


@needs_compiler
@pytest.mark.parametrize("precision", gpu_contenders.PRECISIONS)
def test_everything_is_measured_or_has_a_reason(small, precision):
    runtime = EmulatedRuntime()
    runtime.xp = Library()
    entries = [json.loads(json.dumps(entry)) for entry in measure(runtime, precision)]
    assert "nvmath" in entries[0]["reason"]
    assert entries[0]["contender"] == CUBLASLT
    steps = [entry for entry in entries[1:] if "contender" in entry]
    assert [(entry["batch"], entry["contender"]) for entry in steps] == [
        *((batch, CUPY) for batch in (8, 16)),
        *((batch, f"{CUPY}, recorded") for batch in (8, 16)),
    ]
    assert all(len(entry["rates"]) == gpu_contenders.ROUNDS for entry in steps)
    products = [entry for entry in entries if "product" in entry]
    assert len(products) == 2 * 8
    assert all(entry["rates"].keys() == {"own", CUPY} for entry in products)


@needs_compiler
def test_what_cannot_be_recorded_has_its_reason(small):
    entries = list(measure(Refusing(), "float32"))
    recorded = [entry for entry in entries if entry.get("contender") == f"{CUPY}, recorded"]
    assert recorded == [
        {"batch": 8, "contender": f"{CUPY}, recorded", "reason": "cuBLAS cannot be recorded"}
    ]
    products = [entry for entry in entries if "product" in entry]
    assert all(entry["reasons"].keys() == {"own"} for entry in products)
    assert all(entry["rates"].keys() == {CUPY} for entry in products)


@needs_compiler
def test_wrong_numbers_are_not_timed(small, monkeypatch):
    monkeypatch.setattr(gpu_contenders, "PRECISIONS", {"float32": 1e-12})
    runtime = EmulatedRuntime()
    runtime.xp = Library()
    steps = [entry for entry in measure(runtime, "float32") if "contender" in entry]
    assert all("rates" not in entry for entry in steps)
    assert "gradients are off" in steps[1]["reason"]


@pytest.mark.parametrize("status", [0, 3])
def test_what_was_printed_before_a_bad_end_is_kept(monkeypatch, status):
    def run(command, stdout, stderr, **_):
        stdout.write('{"batch": 64}\n{"ba')
        stderr.write("Traceback\nValueError: no\n")
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(subprocess, "run", run)
    found = list(contenders(0, "TF32"))
    assert found[0] == {"batch": 64}
    assert found[1:] == ([{"reason": "exit status 3: ValueError: no"}] if status else [])
