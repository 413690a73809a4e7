"""The GPU that tests run on: a real one where there is one, and the emulator everywhere."""

import numpy as np
import pytest

from nncompress.gpu.runtime import Runtime
from nncompress.machine import Machine
from tests.cuda_on_cpu.runtime import COMPILER, EmulatedRuntime


def _has_gpu() -> bool:
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:  # CuPy is missing, or finds no driver
        return False


HAS_GPU = _has_gpu()
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="the emulator needs g++")


@pytest.fixture(
    params=[
        pytest.param("emulated", marks=needs_compiler),
        pytest.param("gpu", marks=pytest.mark.skipif(not HAS_GPU, reason="there is no GPU here")),
    ]
)
def runtime(request):
    """Both in turn."""
    return EmulatedRuntime() if request.param == "emulated" else Runtime(0)


@pytest.fixture
def to_host(runtime):
    """Makes an array of the runtime's one of NumPy's."""
    return lambda array: array if runtime.xp is np else array.get()


@pytest.fixture
def machine(runtime):
    """A machine with that GPU; an emulated one takes the CPU's place."""
    return machine_of(runtime)


def machine_of(runtime):
    machine = Machine(-1 if runtime.xp is np else 0)
    machine.runtime = runtime
    return machine


def emulate(monkeypatch, runtime):
    """Gives every machine an emulated GPU in the CPU's place."""
    original = Machine.__init__

    def init(self, gpu=-1, threads=None):
        original(self, -1, threads)
        self.runtime = runtime

    monkeypatch.setattr(Machine, "__init__", init)
