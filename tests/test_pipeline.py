import zipfile

import numpy as np
import pytest

import nncompress
from nncompress import CompressedEmbedding, InputError
from nncompress.embedding.codes import write_codebook, write_codes
from nncompress.forecast import forecast
from nncompress.formats.safetensors import write_tensors
from nncompress.machine import Machine
from nncompress.pipeline import compress_table
from nncompress.refinement import refine
from nncompress.refinement.refine import RefinementSettings
from nncompress.sources import EmbeddingMatrix, tables
from nncompress.sources.tables import open_table
from nncompress.training.settings import TrainingOptions

QUICK = {"num_codebooks": 4, "num_codewords": 8, "epochs": 20, "report": None}


@pytest.fixture
def text(matrix, tmp_path):
    path = tmp_path / "v.txt"
    lines = [f"w{i} {' '.join(map(str, row))}\n" for i, row in enumerate(matrix.tolist())]
    path.write_text("".join(lines))
    return path


def test_one_call_compresses_a_file(text, matrix, tmp_path):
    embedding = nncompress.compress(str(text), tmp_path / "v.nnc", **QUICK)
    again = CompressedEmbedding.load(tmp_path / "v.nnc", verify=True)
    assert list(again) == [f"w{i}" for i in range(300)]
    assert (again.to_numpy() == embedding.to_numpy()).all()
    error = np.linalg.norm(matrix - embedding.to_numpy(), axis=1).mean()
    assert embedding.provenance["mean_distance"] == pytest.approx(error, rel=1e-5)
    assert error < 0.5 * np.linalg.norm(matrix - matrix.mean(axis=0), axis=1).mean()
    assert embedding.provenance["source"] == "v.txt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.nnc", "v.txt"]


def test_a_text_file_is_parsed_once_and_its_rows_gone_through_six_times_at_most(text, monkeypatch):
    """Beyond what training, annealing and the rounds of refinement make by their nature."""
    monkeypatch.setattr(refine, "SAMPLE_ROWS", 100)  # so that the rounds go through all rows
    monkeypatch.setattr(refine, "PROBE_ROWS", 50)
    passes = {"parsed": 0, "examined": 0, "rows": 0}
    read, batches, examine = tables.read_text, EmbeddingMatrix.batches, EmbeddingMatrix._examine

    def counted(name, function):
        def call(source, *arguments):
            passes[name] += name == "parsed" or (source.name == str(text) and len(source) == 300)
            return function(source, *arguments)

        return call

    monkeypatch.setattr(tables, "read_text", counted("parsed", read))
    monkeypatch.setattr(EmbeddingMatrix, "batches", counted("rows", batches))
    monkeypatch.setattr(EmbeddingMatrix, "_examine", counted("examined", examine))
    settings = RefinementSettings(annealing_rounds=2, rounds=1)
    with open_table(text) as table:
        compress_table(
            table, None, (2, 8), TrainingOptions(epochs=2), Machine(), refinement=settings
        )
    annealed, rounds = 1, 1
    assert passes["parsed"] == 1
    assert passes["examined"] == 0  # what is finite, centre and scale come from the same pass
    assert sum(passes.values()) - annealed - rounds <= 6


def test_directions_alone_can_be_kept(matrix):
    embedding = nncompress.compress(matrix, objective="cosine", **QUICK)
    assert embedding.provenance["objective"] == "cosine"
    np.testing.assert_allclose(np.linalg.norm(embedding.to_numpy(), axis=1), 1, atol=0.3)
    assert not embedding.has_words


def test_no_file_that_is_read_is_written_over(text, matrix, tmp_path):
    np.save(tmp_path / "m.npy", matrix)
    (tmp_path / "m.word").write_text("".join(f"w{i}\n" for i in range(300)))
    folder = tmp_path / "model"
    folder.mkdir()
    write_tensors(folder / "model.safetensors", {"embeddings": matrix}, {})
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.write(text, "v.txt")
    for source, output in [
        (tmp_path / "m.npy", tmp_path / "m.word"),
        (folder, folder / "model.safetensors"),
        (folder / "model.safetensors", folder / "model.safetensors"),
        (tmp_path / "v.zip" / "v.txt", tmp_path / "v.zip"),
        (text, text),
    ]:
        before = output.read_bytes()
        with pytest.raises(InputError, match="is the input itself"):
            nncompress.compress(source, output, **QUICK)
        assert output.read_bytes() == before


def test_mistakes_are_told_before_anything_is_written(text, tmp_path):
    for options, message in [
        ({"codebook_dtype": "int8"}, "no codebook type 'int8'"),
        ({"objective": "l1"}, "no objective 'l1'"),
        ({"words": ["a"] * 301}, "has 300 rows for 301 words"),
        ({"num_codewords": 1}, "1"),
        ({"time_budget": 0}, "the time budget is 0"),
        ({"time_budget": 9, "recipe": "paper"}, "a time budget is for refinement, and the recipe"),
    ]:
        with pytest.raises(InputError, match=message):
            nncompress.compress(text, tmp_path / "v.nnc", **(QUICK | options))
    assert not (tmp_path / "v.nnc").exists()


def test_the_size_is_forecast_to_the_codebooks_type(text, tmp_path):
    with open_table(text) as table:
        expected = forecast(table, (4, 8), TrainingOptions(epochs=20), Machine())
        assert expected.source_bytes == table.matrix.take(np.arange(300)).nbytes
    nncompress.compress(text, tmp_path / "v.nnc", codebook_dtype="float16", **QUICK)
    header = int.from_bytes((tmp_path / "v.nnc").read_bytes()[:8], "little") + 8
    assert (tmp_path / "v.nnc").stat().st_size == expected.file_bytes + header
    assert expected.seconds > 0
    assert expected.memory_bytes > expected.file_bytes


def test_what_is_compressed_already_is_refused_by_name(matrix, tmp_path):
    codes = np.arange(20).reshape(10, 2) % 4
    embedding = CompressedEmbedding.from_codes(codes, matrix[:8], list("abcdefghij"))
    with pytest.raises(InputError, match=r"10 rows.* is a compressed embedding already; .*to_num"):
        nncompress.compress(embedding, tmp_path / "x.nnc")
    write_codes(tmp_path / "x.codes", codes)
    write_codebook(tmp_path / "x.codebook.npy", matrix[:8])
    for name in ("x.codes", "x.codebook.npy"):
        with pytest.raises(InputError, match=rf"{name} is by its name .* with: nncompress import"):
            nncompress.compress(tmp_path / name, tmp_path / "x.nnc")
    assert not (tmp_path / "x.nnc").exists()
