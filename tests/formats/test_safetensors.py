import numpy as np
import pytest

from nncompress.formats.safetensors import map_tensors, write_tensors


@pytest.fixture
def tensors(random):
    return {
        "a.weight": random.normal(size=(3, 4)),
        "b": random.normal(size=(2, 3, 5)).astype(np.float32),
        "half": random.normal(size=7).astype(np.float16),
        "bytes": random.integers(256, size=(4, 3), dtype=np.uint8),
        "none": np.empty((0, 4), np.uint8),
    }


def check(tensors, read):
    assert set(read) == set(tensors)
    for name, array in tensors.items():
        assert read[name].dtype == array.dtype
        assert read[name].tolist() == array.tolist()
        assert read[name].shape == array.shape


def test_what_is_written_is_mapped(tensors, tmp_path):
    write_tensors(tmp_path / "x", tensors, {"key": "wört"})
    file = map_tensors(tmp_path / "x")
    assert file.metadata == {"key": "wört"}
    check(tensors, file.tensors)
    assert file.dtypes["half"] == "F16"
    assert not file.tensors["b"].flags.writeable
    assert file.header % 64 == 0


def test_safetensors_reads_and_writes_the_same(tensors, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    write_tensors(tmp_path / "ours", tensors, {"key": "value"})
    check(tensors, numpy.load_file(tmp_path / "ours"))
    numpy.save_file(tensors, tmp_path / "theirs", {"key": "value"})
    file = map_tensors(tmp_path / "theirs")
    check(tensors, file.tensors)
    assert file.metadata == {"key": "value"}
