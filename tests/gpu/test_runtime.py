"""What CuPy is asked to do: compiling, launching, recording."""

import types
from contextlib import contextmanager

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.gpu.modules import cuda_source
from nncompress.gpu.runtime import Runtime


class Function:
    def __init__(self):
        self.max_dynamic_shared_size_bytes = 48 << 10
        self.calls = []

    def __call__(self, grid, block, arguments, shared_mem):
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        self.calls.append((grid, block, arguments, shared_mem))


class CuPy:
    """As much of CuPy as a runtime uses, with a log of what is done."""

    class CUDARuntimeError(Exception):
        pass

    def __init__(self):
        self.log = []
        self.functions = {}
        runtime = types.SimpleNamespace(CUDARuntimeError=self.CUDARuntimeError)
        self.capability = "90"
        device = lambda number: types.SimpleNamespace(  # noqa: E731
            compute_capability=self.capability
        )
        self.cuda = types.SimpleNamespace(Stream=self.stream, runtime=runtime, Device=device)

    def RawModule(self, code, options):
        self.log.append((code, options))
        return types.SimpleNamespace(
            get_function=lambda name: self.functions.setdefault(name, Function())
        )

    @contextmanager
    def stream(self, non_blocking):
        assert non_blocking  # others wait for the default stream, which recording forbids
        graph = types.SimpleNamespace(
            upload=lambda: self.log.append("upload"), launch=lambda: self.log.append("launch")
        )

        def end_capture():
            self.log.append("end")
            if "failed" in self.log:
                raise self.CUDARuntimeError("the recording is invalid")
            return graph

        yield types.SimpleNamespace(
            begin_capture=lambda: self.log.append("begin"), end_capture=end_capture
        )


@pytest.fixture
def runtime():
    runtime = Runtime(0)
    runtime.__dict__["xp"] = CuPy()
    return runtime


def test_a_module_is_compiled_with_its_definitions(runtime):
    runtime.load("step", VECTOR=2, FULL_PRECISION=1)
    ((code, options),) = runtime.xp.log
    assert code == cuda_source("step")
    assert options == ("-std=c++17", "-DVECTOR=2", "-DFULL_PRECISION=1")


def test_a_gpu_that_is_too_old_for_the_kernels_has_none(runtime):
    runtime.xp.capability = "61"
    with pytest.raises(InputError, match=r"capability 6\.1, but the kernels need 7\.0"):
        runtime.load("step", VECTOR=2, FULL_PRECISION=1)
    assert runtime.xp.log == []


def test_launches_say_what_shared_memory_they_need(runtime):
    kernels = runtime.load("step", VECTOR=1, FULL_PRECISION=0)
    kernels.launch("one", 3, 128, [np.int32(7), None], 80_000)
    kernels.launch("one", 4, 64, [np.int32(7), None], 100)
    kernels.launch("other", 1, 32, [])
    one, other = (runtime.xp.functions[name] for name in ("one", "other"))
    assert one.max_dynamic_shared_size_bytes == 80_000
    assert other.max_dynamic_shared_size_bytes == 48 << 10
    (grid, block, arguments, shared), second = one.calls
    assert (grid, block, shared) == ((3,), (128,), 80_000)
    assert second[:2] == ((4,), (64,))
    # A null pointer is eight bytes of zeros.
    assert [(type(a), int(a)) for a in arguments] == [(np.int32, 7), (np.uint64, 0)]


def test_a_recording_is_launched_again(runtime):
    again = runtime.record(lambda: runtime.xp.log.append("work"))
    assert runtime.xp.log == ["begin", "work", "end", "upload"]
    again()
    again()
    assert runtime.xp.log[4:] == ["launch", "launch"]


def test_a_recording_that_fails_says_why(runtime):
    def work():
        runtime.xp.log.append("failed")
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        runtime.record(work)
    assert runtime.xp.log == ["begin", "failed", "end"]
