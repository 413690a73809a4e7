import io
import resource
import zipfile

import numpy as np
import pytest

from nncompress.errors import FormatError, InputError
from nncompress.formats.npz import NpzFile


@pytest.fixture
def arrays(random):
    return {
        "l1/W": random.normal(size=(5, 7)).astype(np.float32),
        "turned": np.asfortranarray(random.normal(size=(3, 4))),
        "scalar": np.asarray(3),
        "text": np.asarray("[1, 2]"),
        "none": np.empty((0, 3)),
    }


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, arrays, write):
    write(tmp_path / "x.npz", **arrays)
    with NpzFile(tmp_path / "x.npz") as file:
        assert dict.fromkeys(file) == dict.fromkeys(arrays)
        for name, array in arrays.items():
            assert file.header(name).shape == array.shape
            assert file[name].dtype == array.dtype
            assert file[name].tolist() == array.tolist()
        with pytest.raises(KeyError):
            file["no"]


def npy(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compression_is_refused(tmp_path, method):
    archive(tmp_path / "x.npz", [("x.npy", npy(np.ones(3)))], method)
    with (
        NpzFile(tmp_path / "x.npz") as file,
        pytest.raises(FormatError, match=r"x\.npz, member 'x\.npy': it is compressed by zip"),
    ):
        file["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "is not a .npy file"),
        (npy(np.array([None])), "holds Python objects"),
        (npy(np.ones(3))[:-1], "has 151 bytes, but an array of float64"),
        (npy(np.ones(3)) + b"x", "has 153 bytes, but an array of float64"),
    ],
)
def test_members_that_are_no_arrays_are_refused_when_they_are_read(tmp_path, content, message):
    good = npy(np.ones(2))
    archive(tmp_path / "x.npz", [("bad.npy", content), ("good.npy", good), ("notes.txt", "-")])
    with NpzFile(tmp_path / "x.npz") as file:
        assert list(file) == ["bad", "good"]
        assert file["good"].tolist() == [1, 1]
        with pytest.raises(FormatError, match=message):
            file["bad"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_not_plain_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    with pytest.raises(InputError, match="does not exist"):
        NpzFile(path)
    archive(path, [("x.npy", npy(np.ones(2)))] * 2)
    with pytest.raises(FormatError, match="two members named 'x'"):
        NpzFile(path)
    archive(path, [("x.npy", npy(np.ones(2)))])
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    encrypted = bytearray(content)
    encrypted[directory + 8] |= 1
    too_large = bytearray(content)
    too_large[directory + 20 : directory + 28] = (1 << 30).to_bytes(4, "little") * 2
    altered = content.replace(np.ones(2).tobytes(), np.zeros(2).tobytes())
    for damaged, message in [
        (encrypted, "is encrypted"),
        (too_large, "claims 1,073,741,824 bytes of the file's"),
        (altered, "Bad CRC-32"),
    ]:
        path.write_bytes(damaged)
        with NpzFile(path) as file, pytest.raises(FormatError, match=message):
            file["x"]


def test_an_array_that_expands_without_bound_is_not_read(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w") as big:
        header = {"descr": "<f4", "fortran_order": False, "shape": (64 << 20,)}
        np.lib.format.write_array_header_1_0(big, header)
        for _ in range(256):
            big.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with NpzFile(path) as file, pytest.raises(FormatError, match="claims to expand from"):
        file["x"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # in KiB
