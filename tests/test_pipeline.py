import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import nncompress
from nncompress import CompressedEmbedding, InputError, coding, making, needs
from nncompress.embedding import storing
from nncompress.embedding.codes import write_codebook, write_codes
from nncompress.errors import OutputError
from nncompress.evaluate.target import Target
from nncompress.forecast import forecast
from nncompress.formats import rescue, space
from nncompress.formats.safetensors import write_tensors
from nncompress.machine import Machine
from nncompress.pipeline import make_table
from nncompress.plan import Plan
from nncompress.refinement import refine, room
from nncompress.refinement.engines import cpu
from nncompress.refinement.refine import RefinementSettings
from nncompress.sources import EmbeddingMatrix, conversion
from nncompress.sources.tables import open_table
from nncompress.training.settings import TrainingOptions

QUICK = {"num_codebooks": 4, "num_codewords": 8, "epochs": 20, "report": None}


def never_read(path):
    raise AssertionError(f"{path} is read")
    yield


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
    monkeypatch.setattr(room, "SAMPLE_ROWS", 100)  # so that the rounds go through all rows
    monkeypatch.setattr(refine, "PROBE_ROWS", 50)
    passes = {"parsed": 0, "examined": 0, "rows": 0}
    read, batches, examine = (
        conversion.read_text,
        EmbeddingMatrix.batches,
        EmbeddingMatrix._examine,
    )

    def counted(name, function):
        def call(source, *arguments):
            passes[name] += name == "parsed" or (source.name == str(text) and len(source) == 300)
            return function(source, *arguments)

        return call

    monkeypatch.setattr(conversion, "read_text", counted("parsed", read))
    monkeypatch.setattr(EmbeddingMatrix, "batches", counted("rows", batches))
    monkeypatch.setattr(EmbeddingMatrix, "_examine", counted("examined", examine))
    settings = RefinementSettings(annealing_rounds=2, rounds=1)
    with open_table(text) as table:
        make_table(
            table, Plan((2, 8), training=TrainingOptions(epochs=2), refinement=settings),
            Machine(),
        )  # fmt: skip
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
        ({"codebook_dtype": "int3"}, "unknown codebook type 'int3'"),
        ({"objective": "l1"}, "unknown objective 'l1'"),
        ({"words": ["a"] * 301}, "has 300 rows for 301 words"),
        ({"num_codewords": 1}, "1"),
        ({"time_budget": 0}, "the time budget is 0"),
        (
            {"time_budget": 9, "recipe": "paper"},
            "a time budget shortens training, but the recipe paper",
        ),
    ]:
        with pytest.raises(InputError, match=message):
            nncompress.compress(text, tmp_path / "v.nnc", **(QUICK | options))
    assert not (tmp_path / "v.nnc").exists()


def test_the_size_is_forecast_to_the_codebooks_type(text, tmp_path):
    with open_table(text) as table:
        plan = Plan((4, 8), training=TrainingOptions(epochs=20))
        expected = forecast(table, plan, Machine())
        assert expected.source_bytes == table.matrix.take(np.arange(300)).nbytes
    nncompress.compress(text, tmp_path / "v.nnc", codebook_dtype="float16", **QUICK)
    header = int.from_bytes((tmp_path / "v.nnc").read_bytes()[:8], "little") + 8
    assert (tmp_path / "v.nnc").stat().st_size == expected.file_bytes + header
    assert expected.seconds > 0
    assert expected.memory_bytes > expected.file_bytes


RESIDUAL = {"report": None}


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, 0), ({"bytes_per_row": 30}, 0), ({"num_codebooks": 4, "num_codewords": 8, "epochs": 20,
      "residual_bits": 16}, 4)],
)  # fmt: skip
def test_rows_with_a_residual_stage_are_as_near_as_told(options, size, matrix):
    embedding = nncompress.compress(matrix, **RESIDUAL, **options)
    table, facts = embedding.table, embedding.provenance
    decoded = table.decode(slice(None))
    assert table.num_codebooks == size
    error = np.linalg.norm(matrix - decoded, axis=1).mean()
    assert facts["mean_distance"] == pytest.approx(error, rel=1e-4)
    assert facts["loss"] == pytest.approx(((matrix - decoded) ** 2).sum(axis=1).mean() / 2, 1e-4)
    assert 0 < facts["recall"] <= 1
    assert facts["curve"]
    if size:
        plain = nncompress.compress(matrix, **QUICK)
        assert facts["mean_distance"] < plain.provenance["mean_distance"]
        assert table.additive.codebook_type == "8 bits"


def test_the_same_table_comes_of_the_same_call_whatever_the_threads(matrix):
    one, other = (nncompress.compress(matrix, threads=n, **RESIDUAL) for n in (1, 2))
    assert (one.table.residual.stream.data == other.table.residual.stream.data).all()
    assert one.provenance == other.provenance


def test_directions_alone_are_coded_by_a_trellis(matrix):
    embedding = nncompress.compress(matrix, objective="cosine", cosine=0.99, **RESIDUAL)
    decoded = embedding.table.decode(slice(None))
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=0.2)


@pytest.mark.parametrize(
    "options",
    [{}, {"bytes_per_row": 25}, {"cosine": 0.9}, {"residual_bits": 20, "adaptive": True}, {
        "num_codebooks": 4, "num_codewords": 8, "epochs": 20, "residual_bits": 16}],
)  # fmt: skip
def test_a_residual_stage_is_written_and_read(options, text, tmp_path):
    made = nncompress.compress(text, **RESIDUAL, **options)
    output = tmp_path / "v.nnc"
    nncompress.compress(text, output, curve=tmp_path / "c.json", **RESIDUAL, **options)
    again = CompressedEmbedding.load(output, verify=True)
    assert (again.to_numpy() == made.table.decode(slice(None))).all()
    assert again.provenance == made.provenance
    assert (tmp_path / "c.json").is_file()
    if "bytes_per_row" in options:
        words = sum(array.nbytes for array in again._keys.vocabulary.sections.values())
        assert output.stat().st_size - words <= 25 * 300


def test_a_work_directory_of_a_residual_stage_keeps_the_matrix(text, tmp_path, monkeypatch):
    work, output = tmp_path / "w", tmp_path / "v.nnc"
    with monkeypatch.context() as patch:
        patch.setattr(making, "Chooser", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            nncompress.compress(text, output, work=work, cosine=0.95, **RESIDUAL)
    assert {path.name for path in work.iterdir()} == {"matrix.state", "table.state", "work.json"}
    with pytest.raises(InputError, match=r"with target a mean cosine of 0\.95 instead of"):
        nncompress.compress(text, output, work=work, cosine=0.9, **RESIDUAL)
    monkeypatch.setattr(conversion, "read_text", never_read)
    nncompress.compress(text, output, work=work, cosine=0.95, **RESIDUAL)
    assert not work.exists()


@pytest.mark.parametrize(
    ("options", "less"),
    [
        ({"num_codebooks": 32, "epochs": 1}, "a smaller M or K"),
        ({"cosine": 0.9999}, "a lower target"),
    ],
)
def test_a_file_that_is_hardly_smaller_is_told_before_it_is_made(
    options, less, random, monkeypatch
):
    rows = random.normal(size=(30, 50)).astype(np.float32)
    monkeypatch.setattr(coding, "learn", raise_interrupt)
    monkeypatch.setattr(making.Chooser, "make", raise_interrupt)
    with (
        pytest.warns(UserWarning, match=rf"take about [\d,]+ bytes .* only 6,000; use {less}"),
        pytest.raises(KeyboardInterrupt),
    ):
        nncompress.compress(rows, **RESIDUAL, **options)


def test_a_dry_run_of_a_residual_stage_foresees_its_size(text, tmp_path):
    with open_table(text) as table:
        expected = forecast(table, Plan(target=Target(bytes_per_row=25)), Machine())
        assert 0.9 * 25 * 300 < expected.file_bytes < 26 * 300 + 4_000
        both = Plan((4, 8), Target(residual_bits=16), training=TrainingOptions(epochs=20))
        more = forecast(table, both, Machine())
    assert expected.choice.points
    assert expected.seconds > 0
    assert more.seconds > 0


def test_what_is_compressed_already_is_refused_by_name(matrix, tmp_path):
    codes = np.arange(20).reshape(10, 2) % 4
    embedding = CompressedEmbedding.from_codes(codes, matrix[:8], list("abcdefghij"))
    with pytest.raises(InputError, match=r"10 rows.* is already a compressed embedding; .*to_num"):
        nncompress.compress(embedding, tmp_path / "x.nnc")
    write_codes(tmp_path / "x.codes", codes)
    write_codebook(tmp_path / "x.codebook.npy", matrix[:8])
    for name in ("x.codes", "x.codebook.npy"):
        with pytest.raises(InputError, match=rf"{name} is, by its name, .*: nncompress import"):
            nncompress.compress(tmp_path / name, tmp_path / "x.nnc")
    assert not (tmp_path / "x.nnc").exists()


@pytest.fixture
def binary(matrix, tmp_path):
    path = tmp_path / "v.bin"
    rows = [f"w{i} ".encode() + row.tobytes() + b"\n" for i, row in enumerate(matrix)]
    path.write_bytes(b"300 12\n" + b"".join(rows))
    return path


@pytest.mark.parametrize(
    ("kind", "recipe", "states"),
    [("text", "fast", 8), ("binary", "paper", 3), ("array", "fast", 9)],
)
def test_a_job_that_is_stopped_goes_on_to_the_same_file(
    kind, recipe, states, request, matrix, tmp_path, stop_and_go
):
    source = matrix if kind == "array" else request.getfixturevalue(kind)
    whole, output, work = tmp_path / "whole.nnc", tmp_path / "v.nnc", tmp_path / "w"
    options = QUICK | {"recipe": recipe, "objective": "cosine", "weights": np.arange(300)}
    nncompress.compress(source, whole, **options)
    _, stops = stop_and_go(
        lambda: nncompress.compress(source, output, work=work, **options), states, 10
    )
    assert stops >= 1
    assert output.read_bytes() == whole.read_bytes()
    assert not work.exists()


def interrupted(source, work, monkeypatch, **options):
    """Runs a job up to refinement."""
    with monkeypatch.context() as patch:
        patch.setattr(coding, "refine", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            nncompress.compress(source, work=work, **(QUICK | options))
    return {path.name: path.read_bytes() for path in work.iterdir()}


def raise_interrupt(*arguments, **options):
    raise KeyboardInterrupt


def test_the_work_of_another_job_is_refused_and_stays(text, matrix, tmp_path, monkeypatch):
    work = tmp_path / "w"
    before = interrupted(text, work, monkeypatch)
    assert set(before) == {"matrix.state", "table.state", "trained.state", "work.json"}
    for options, message in [
        ({"seed": 1}, "with seed 0 instead of 1; give that job's command to continue it"),
        ({"num_codewords": 16}, "with K 8 instead of 16"),
        ({"limit": 10}, "with limit None instead of 10"),
        ({"objective": "cosine"}, "with objective distance instead of cosine"),
        ({"weights": np.arange(300)}, "with the weights' SHA-256 None instead of"),
        ({"words": ["a"] * 300}, "with the words' SHA-256 "),
        ({"time_budget": 9}, r"a time budget \(--time-budget\) and a work directory"),
    ]:
        with pytest.raises(InputError, match=message):
            nncompress.compress(text, work=work, **(QUICK | options))
    text.write_text(text.read_text() + "more" + " 1" * 12 + "\n")
    with pytest.raises(InputError, match=r"with the source .*v\.txt.*bytes.*changed"):
        nncompress.compress(text, work=work, **QUICK)
    assert {path.name: path.read_bytes() for path in work.iterdir()} == before
    other = tmp_path / "w2"
    interrupted(matrix, other, monkeypatch)
    with pytest.raises(InputError, match="with the matrix's digest "):
        nncompress.compress(matrix + 1, work=other, **QUICK)


def test_what_is_there_is_not_read_or_learnt_again(text, tmp_path, monkeypatch):
    interrupted(text, tmp_path / "w", monkeypatch)
    monkeypatch.setattr(conversion, "read_text", never_read)
    monkeypatch.setattr(coding, "learn", None)
    nncompress.compress(text, tmp_path / "v.nnc", work=tmp_path / "w", **QUICK)
    assert len(CompressedEmbedding.load(tmp_path / "v.nnc")) == 300


def test_a_damaged_matrix_is_read_again(text, tmp_path, monkeypatch):
    interrupted(text, tmp_path / "w", monkeypatch)
    path = tmp_path / "w" / "matrix.state"
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    with pytest.warns(
        UserWarning, match=r"matrix\.state is damaged; that part of the work will be"
    ):
        nncompress.compress(text, tmp_path / "v.nnc", work=tmp_path / "w", **QUICK)
    nncompress.compress(text, tmp_path / "whole.nnc", **QUICK)
    assert (tmp_path / "v.nnc").read_bytes() == (tmp_path / "whole.nnc").read_bytes()


@pytest.fixture
def full(monkeypatch):
    """The file system has no room for .nnc files in a directory of this name."""
    write = storing.write_nnc

    def refuse(path, contents):
        if path.parent.name == "full":
            raise OutputError(f"{path} cannot be written: No space left on device", 28)
        write(path, contents)

    monkeypatch.setattr(storing, "write_nnc", refuse)


def test_a_result_that_cannot_be_written_is_kept_elsewhere(text, tmp_path, full, monkeypatch):
    monkeypatch.setattr(rescue.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with pytest.raises(OutputError, match=r"full/v\.nnc cannot be written: .*; what was computed"):
        nncompress.compress(text, tmp_path / "full" / "v.nnc", **QUICK)
    (kept,) = (tmp_path / "tmp").rglob("*.nnc")
    nncompress.compress(text, tmp_path / "v.nnc", **QUICK)
    assert kept.read_bytes() == (tmp_path / "v.nnc").read_bytes()


def test_a_result_that_cannot_be_written_stays_in_the_work_directory(
    text, tmp_path, full, monkeypatch
):
    work = tmp_path / "w"
    with pytest.raises(OutputError, match=r"full/v\.nnc .*; the finished work is in .*w, so run"):
        nncompress.compress(text, tmp_path / "full" / "v.nnc", work=work, **QUICK)
    for name in ("relax", "improve", "search", "tally"):
        monkeypatch.setattr(cpu._CpuPass, name, None)
    nncompress.compress(text, tmp_path / "v.nnc", work=work, **QUICK)
    assert len(CompressedEmbedding.load(tmp_path / "v.nnc")) == 300


def test_no_room_is_told_before_anything_is_learnt(text, matrix, tmp_path, monkeypatch):
    usage = SimpleNamespace(free=2_000)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(coding, "learn", None)
    with pytest.raises(
        InputError, match=r"the matrix of .*v\.txt needs 1\d,\d+ bytes in .* 2,000 "
    ):
        nncompress.compress(text, tmp_path / "v.nnc", **QUICK)
    with pytest.raises(InputError, match=r"a table of 300 rows needs 2,\d+ bytes in .*v\.nnc, wh"):
        nncompress.compress(matrix, tmp_path / "v.nnc", **(QUICK | {"num_codebooks": 8}))
    with pytest.raises(
        InputError, match=r"a table of 300 rows needs [\d,]+ bytes in .*v\.nnc and"
    ):
        nncompress.compress(matrix, tmp_path / "v.nnc", work=tmp_path / "w", **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["v.txt"]


def test_too_little_memory_is_told_before_anything_is_learnt(matrix, monkeypatch):
    monkeypatch.setattr(needs, "free_memory", lambda: 100 << 20)
    monkeypatch.setattr(coding, "learn", raise_interrupt)
    with (
        pytest.warns(UserWarning, match=r"M=4 and K=8 takes about 2\d\d,\d+,\d+ bytes of memory, "
                     r"but only 104,857,600 are free; use a smaller M or K \(-M, -K\) or fewer"),
        pytest.raises(KeyboardInterrupt),
    ):  # fmt: skip
        nncompress.compress(matrix, **QUICK)


def test_an_output_in_the_work_directory_is_refused(tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 4))
    for name in ("out.state", "deep/out.nnc"):
        with pytest.raises(InputError, match="is inside the work directory"):
            nncompress.compress(rows, tmp_path / "w" / name, work=tmp_path / "w", **QUICK)


def test_work_does_not_go_on_with_another_kind_of_source(text, tmp_path, monkeypatch):
    work = tmp_path / "w"

    class StopError(Exception):
        pass

    def stop(*arguments, **options):
        raise StopError

    with monkeypatch.context() as patched:
        patched.setattr("nncompress.coding.refine_codes", stop)
        with pytest.raises(StopError):
            nncompress.compress(text, work=work, **QUICK)
    words = [line.split(" ")[0] for line in text.read_text().splitlines()]
    rows = np.random.default_rng(1).normal(size=(len(words), 12))
    with pytest.raises(InputError, match="holds the work of another job"):
        nncompress.compress(rows, words=words, work=work, **QUICK)
