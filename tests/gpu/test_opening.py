"""What is said where a GPU cannot be used."""

import sys
import types

import pytest

import nncompress
from nncompress import EmbeddingCompressor, InputError
from nncompress.gpu.runtime import first_reason, open_gpu
from nncompress.machine import Machine

BOX = """
================================================================
Failed to import CuPy.

Original error:
  ImportError: libcuda.so.1: cannot open shared object file
================================================================
"""


class CUDARuntimeError(Exception):
    pass


def fake_cupy(count=1, capability="90", version=12_090):
    def count_devices():
        if count is None:
            raise CUDARuntimeError("cudaErrorNoDevice")
        return count

    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=count_devices,
        runtimeGetVersion=lambda: version,
    )
    used = []
    device = lambda number: types.SimpleNamespace(  # noqa: E731
        compute_capability=capability, use=lambda: used.append(number)
    )
    cuda = types.SimpleNamespace(runtime=runtime, Device=device)
    return types.SimpleNamespace(cuda=cuda, used=used)


@pytest.mark.parametrize(
    ("options", "number", "wanted"),
    [
        ({"count": None}, 0, r"no GPU here \(cudaErrorNoDevice\)"),
        ({"count": 2}, 2, "this machine has 2, numbered from 0"),
        ({"capability": "35"}, 0, "capability 3.5, but this CuPy's CUDA needs 5.0 or newer"),
        ({"capability": "70", "version": 13_000}, 0, "capability 7.0, .* needs 7.5 or newer"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_refused_in_a_line(monkeypatch, options, number, wanted):
    cupy = fake_cupy(**options)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(InputError, match=wanted) as caught:
        open_gpu(number)
    assert str(caught.value).endswith("or use the CPU (-g -1; in Python, -1 for the GPU)")
    assert "\n" not in str(caught.value)
    assert cupy.used == []


@pytest.mark.parametrize(
    ("capability", "version"), [("61", 12_090), ("70", 12_090), ("75", 13_000), ("120", 13_000)]
)
def test_a_gpu_becomes_the_current_one(monkeypatch, capability, version):
    cupy = fake_cupy(count=2, capability=capability, version=version)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    open_gpu(1)
    assert cupy.used == [1]


def test_of_cupys_box_the_reason_is_told():
    assert first_reason(ImportError(BOX)).startswith("ImportError: libcuda.so.1")
    assert first_reason(ImportError("No module named 'cupy'")) == "No module named 'cupy'"


@pytest.mark.parametrize("ask", [open_gpu, Machine], ids=["open_gpu", "Machine"])
def test_without_cupy_one_is_told_what_to_install(monkeypatch, ask):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(InputError, match=r"chainer-nncompress\[gpu-cuda12\]"):
        ask(0)


def test_settings_of_a_gpu_are_refused_on_a_cpu(matrix, tmp_path):
    compressor = EmbeddingCompressor(2, 4, tmp_path / "sub" / "model")
    for options in ({"full_precision": True}, {"matrix_dtype": "float16"}):
        with pytest.raises(InputError, match="only apply to a GPU; leave them out"):
            compressor.train(matrix, **options)
    assert not (tmp_path / "sub").exists()


def test_no_folder_is_left_where_there_is_no_gpu(monkeypatch, matrix, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(count=None))
    with pytest.raises(InputError, match="there is no GPU here"):
        nncompress.compress(matrix, tmp_path / "sub" / "x.nnc", gpu=0)
    assert not (tmp_path / "sub").exists()
