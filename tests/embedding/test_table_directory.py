import json
import shutil

import numpy as np
import pytest

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import digest_of_model, read_model, write_model
from nncompress.embedding.table_directory import MANIFEST, read_manifest
from nncompress.errors import FormatError, InputError
from tests.embedding.test_sharded_table import KINDS, WORDS, make


@pytest.fixture(params=KINDS)
def embedding(request):
    return CompressedEmbedding.of_table(make(request.param), WORDS, {"loss": 0.5})


@pytest.fixture
def directory(embedding, tmp_path):
    larger = embedding.add(["new", "newer"], embedding.table.decode(slice(3, 5)))
    larger.save_shards(tmp_path / "x.nnc")
    return tmp_path / "x.nnc"


def test_a_directory_is_the_table(embedding, directory):
    loaded = CompressedEmbedding.load(directory, verify=True)
    assert [file.name for file in sorted(directory.iterdir())] == [
        "manifest.json", "model.nnc", "rows-00000.nnc", "rows-00001.nnc",
    ]  # fmt: skip
    assert len(loaded.table.shards) == 2
    assert loaded.index_to_key[:70] == embedding.index_to_key[:]
    assert (loaded.to_numpy()[:70] == embedding.to_numpy()).all()
    assert loaded["new"].shape == (9,)
    copied = CompressedEmbedding.load(directory, copy=True)
    assert (copied.to_numpy() == loaded.to_numpy()).all()


def test_a_file_of_rows_opens_alone(embedding, directory):
    loaded = CompressedEmbedding.load(directory / "rows-00000.nnc", verify=True)
    assert (loaded.to_numpy() == embedding.to_numpy()).all()
    assert list(loaded) == list(embedding)


def test_what_rows_share_is_there_once(embedding, directory):
    sizes = {file.name: file.stat().st_size for file in directory.iterdir()}
    assert sizes["model.nnc"] > embedding.table.shared_bytes
    # 2 rows and a header; the model is not in it.
    assert sizes["rows-00001.nnc"] < 4_096


def test_more_rows_leave_files_as_they_are(directory):
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in directory.iterdir()}
    loaded = CompressedEmbedding.load(directory)
    larger = loaded.add(["newest"], loaded.table.decode(slice(9, 10)))
    larger.save_shards(directory)
    for file, (content, changed) in before.items():
        if file.name != MANIFEST:
            assert (file.read_bytes(), file.stat().st_mtime_ns) == (content, changed)
    again = CompressedEmbedding.load(directory)
    assert [shard.num_rows for shard in again.table.shards] == [70, 2, 1]
    assert (again["newest"] == larger["newest"]).all()
    with pytest.raises(InputError, match="now has 3 files of rows, but had 2"):
        larger.save_shards(directory)


def test_other_directories_and_names_are_refused(embedding, directory, tmp_path):
    with pytest.raises(InputError, match="already exists"):
        embedding.save_shards(directory)
    with pytest.raises(InputError, match="is a directory; wanted the name of a file"):
        embedding.save(directory)


def test_a_model_says_that_it_is_one(directory):
    with pytest.raises(InputError, match="is a model, which has no rows"):
        CompressedEmbedding.load(directory / "model.nnc")


def test_a_model_is_read_as_it_was_written(embedding, tmp_path):
    model = Model.of_table(embedding.table, {"loss": 0.25, "who": "ä"})
    write_model(tmp_path / "m", model)
    read, digest = read_model(tmp_path / "m")
    assert digest == digest_of_model(model) == digest_of_model(read)
    assert read.provenance == model.provenance
    assert read.encoding == model.encoding
    assert (read.centre == model.centre).all()
    assert read.scale == model.scale
    assert read.num_codebooks == embedding.table.num_codebooks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "rows-00001.nnc").unlink(), "rows-00001.nnc does not exist"),
        (lambda d: (d / "model.nnc").unlink(), "model.nnc does not exist"),
        (lambda d: shutil.copy(d / "rows-00000.nnc", d / "rows-00001.nnc"), "the manifest says"),
        (lambda d: (d / MANIFEST).write_text("{}"), "is not a compressed table's manifest"),
        (lambda d: (d / MANIFEST).write_text("[" * 9_999), "is not a compressed table's manifest"),
        (lambda d: shutil.copy(d / "rows-00000.nnc", d / "model.nnc"), "the file has rows"),
    ],
)
def test_damaged_directories_are_told_in_a_sentence(directory, change, message):
    change(directory)
    with pytest.raises(InputError, match=message):
        CompressedEmbedding.load(directory)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format_version", 4, "format version 4, but this release reads version 3"),
        ("num_rows", 71, "files have 72 rows; num_rows is 71"),
        ("shards", [], "0 files"),
        ("shards", [{"file": "../x"}], "file name"),
        ("first_row", -1, "first_row is -1"),
        ("model_digest", "f" * 64, "is not the model"),
        ("provenance", 3, "provenance"),
    ],
)
def test_damaged_manifests_are_told_in_a_sentence(directory, name, value, message):
    content = json.loads((directory / MANIFEST).read_text())
    content[name] = value
    (directory / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(FormatError, match=message):
        CompressedEmbedding.load(directory)


def test_rows_of_another_model_are_refused(directory, tmp_path):
    other = CompressedEmbedding.of_table(make("codes", seed=9), None)
    other.save_shards(tmp_path / "other.nnc")
    shutil.copy(tmp_path / "other.nnc" / "model.nnc", directory / "model.nnc")
    with pytest.raises(FormatError, match="is not the model that"):
        CompressedEmbedding.load(directory)
    with pytest.raises(FormatError, match="not encoded with the model"):
        CompressedEmbedding.load(directory / "rows-00000.nnc")


def test_damaged_models_and_rows_never_crash(directory):
    random = np.random.default_rng(2)
    originals = {name: (directory / name).read_bytes() for name in ("model.nnc", "rows-00000.nnc")}
    refused = 0
    for _ in range(150):
        name = list(originals)[random.integers(2)]
        content = bytearray(originals[name])
        for _ in range(random.integers(1, 4)):
            content[random.integers(len(content))] = random.integers(256)
        (directory / name).write_bytes(content)
        try:
            loaded = CompressedEmbedding.load(directory)
            loaded.to_numpy()
            list(loaded)
        except FormatError:
            refused += 1
        (directory / name).write_bytes(originals[name])
    assert refused > 50


def test_manifests_hold_what_they_were_given(directory):
    manifest = read_manifest(directory)
    assert [shard.num_rows for shard in manifest.shards] == [70, 2]
    assert [shard.num_words for shard in manifest.shards] == [60, 2]
    assert [s.num_bytes for s in manifest.shards] == [
        (directory / s.file).stat().st_size for s in manifest.shards
    ]
