import numpy as np
import pytest

import nncompress
from nncompress import CompressedEmbedding, InputError, NotGoodEnough
from nncompress.forecast import forecast_large
from nncompress.jobs import large, learning
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.sources.open_rows import open_rows
from tests.jobs.conftest import ROWS

CODES = {"num_codebooks": 4, "num_codewords": 8, "epochs": 5, "report": None}


@pytest.fixture(autouse=True)
def limits(monkeypatch, small_blocks):
    monkeypatch.setattr(large, "_MOST_ROWS", 2_000)
    monkeypatch.setattr(learning, "SAMPLE_ROWS", 1_000)


@pytest.mark.parametrize("options", [CODES, {"cosine": 0.95, "report": None}])
def test_a_large_table_becomes_one_file(options, rows, rows_path, tmp_path):
    lines = []
    embedding = nncompress.compress(
        rows_path, tmp_path / "x.nnc", **{**options, "report": lines.append}
    )
    assert embedding.table.num_rows == ROWS
    assert (tmp_path / "x.nnc").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.npy", "x.nnc"]
    assert lines[0].startswith("3,000 rows: learning a model on a sample")
    loss = 0.5 * ((embedding.to_numpy() - rows) ** 2).sum(axis=1).mean()
    assert np.isclose(embedding.provenance["loss"], loss, rtol=1e-5)
    if "cosine" in options:
        assert embedding.provenance["mean_cosine"] > 0.945


def test_text_is_large_too_and_keeps_its_words(rows, tmp_path):
    text = [f"w{i} {' '.join(map(str, row))}\n" for i, row in enumerate(rows.tolist())]
    (tmp_path / "v.txt").write_text("".join(text))
    embedding = nncompress.compress(tmp_path / "v.txt", tmp_path / "x.nnc", **CODES)
    assert len(embedding) == ROWS
    assert embedding.get_index("w2999") == 2_999


@pytest.mark.parametrize("states", [3, 11])
def test_a_large_job_that_is_ended_goes_on(states, rows_path, tmp_path, stop_and_go):
    whole = nncompress.compress(rows_path, tmp_path / "whole.nnc", **CODES)

    def job():
        return nncompress.compress(rows_path, tmp_path / "x.nnc", **CODES)

    again, stops = stop_and_go(job, states, one_of=9)
    assert stops > 1
    assert (again.to_numpy() == whole.to_numpy()).all()
    assert (tmp_path / "x.nnc").read_bytes() == (tmp_path / "whole.nnc").read_bytes()
    assert not (tmp_path / "x.nnc.work").exists()


def test_another_job_is_refused(rows_path, tmp_path, monkeypatch):
    def stop(*arguments, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(large, "encode_rows", stop)
        with pytest.raises(KeyboardInterrupt):
            nncompress.compress(rows_path, tmp_path / "x.nnc", work=tmp_path / "w", **CODES)
    assert (tmp_path / "w" / "model.nnc").is_file()
    with pytest.raises(InputError, match="holds the work of another job"):
        nncompress.compress(
            rows_path, tmp_path / "x.nnc", work=tmp_path / "w", **{**CODES, "num_codebooks": 3}
        )
    embedding = nncompress.compress(rows_path, tmp_path / "x.nnc", work=tmp_path / "w", **CODES)
    assert embedding.table.num_rows == ROWS
    assert not (tmp_path / "w").exists()


def test_what_large_tables_have_no_use_for_is_refused(rows, rows_path, tmp_path):
    for options, message in [
        ({"output": None}, "can only be compressed into a file"),
        ({"weights": np.ones(ROWS)}, "so leave them out"),
        ({"time_budget": 5}, r"is set by nncompress encode --effort"),
    ]:
        arguments = {"output": tmp_path / "x.nnc", **CODES, **options}
        with pytest.raises(InputError, match=message):
            nncompress.compress(rows_path, **arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.npy"]


@pytest.mark.parametrize("plan", [Plan.of(num_codebooks=4, num_codewords=8), Plan.of(cosine=0.9)])
def test_a_forecast_is_of_all_rows(plan, rows_path, tmp_path):
    with open_rows(rows_path) as source:
        expected = forecast_large(source, plan, Machine())
    assert expected.source_bytes == 4 * ROWS * 12
    options = CODES if plan.size is not None else {"cosine": 0.9, "report": None}
    nncompress.compress(rows_path, tmp_path / "x.nnc", **options)
    size = (tmp_path / "x.nnc").stat().st_size
    assert 0.5 * size < expected.file_bytes < 2 * size + 8_000  # a header with a curve
    assert expected.seconds > 0
    assert CompressedEmbedding.load(tmp_path / "x.nnc").table.num_rows == ROWS


@pytest.mark.parametrize("name", ["x.txt", "model.nnc"])
def test_other_files_are_not_used_and_not_removed(name, rows_path, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / name).write_text("mine")
    with pytest.raises(InputError, match=f"w contains other files \\({name}\\); wanted a new or"):
        nncompress.compress(rows_path, tmp_path / "x.nnc", work=tmp_path / "w", **CODES)
    assert [path.read_text() for path in (tmp_path / "w").iterdir()] == ["mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.npy", "w"]


def test_the_output_is_not_in_what_is_removed(rows_path, tmp_path):
    with pytest.raises(InputError, match=r"is inside the work directory .*, which is emptied"):
        nncompress.compress(rows_path, tmp_path / "w" / "x.nnc", work=tmp_path / "w", **CODES)
    assert not list((tmp_path / "w").iterdir())


@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_left_of_a_job_that_came_to_its_end_is_no_other_jobs(
    is_there, rows, rows_path, tmp_path, monkeypatch
):
    def stop(path):
        (path / "manifest.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", stop)
        with pytest.raises(KeyboardInterrupt):
            nncompress.compress(rows_path, tmp_path / "x.nnc", **CODES)
    whole = (tmp_path / "x.nnc").read_bytes()
    np.save(tmp_path / "other.npy", rows[::-1])
    with pytest.raises(InputError, match="holds the work of another job, with table"):
        nncompress.compress(tmp_path / "other.npy", tmp_path / "x.nnc", **CODES)
    if not is_there:
        (tmp_path / "x.nnc").unlink()
    nncompress.compress(rows_path, tmp_path / "x.nnc", **CODES)
    assert (tmp_path / "x.nnc").read_bytes() == whole
    assert not (tmp_path / "x.nnc.work").exists()


def test_a_model_that_cannot_be_written_is_not_learnt_again(rows_path, tmp_path, monkeypatch):
    whole = nncompress.compress(rows_path, tmp_path / "whole.nnc", **CODES)

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(large, "write_model", stop)
        with pytest.raises(KeyboardInterrupt):
            nncompress.compress(rows_path, tmp_path / "x.nnc", **CODES)
        patched.undo()
        patched.setattr("nncompress.coding.learn", stop)
        again = nncompress.compress(rows_path, tmp_path / "x.nnc", **CODES)
    assert (again.to_numpy() == whole.to_numpy()).all()


def test_a_large_table_is_measured_on_a_sample(rows, rows_path, tmp_path, monkeypatch):
    monkeypatch.setattr("nncompress.compressing.SAMPLE_ROWS", 640)
    lines = []
    options = {**CODES, "report": lines.append}
    embedding = nncompress.compress(
        rows_path, tmp_path / "x.nnc", require={"error": 0.9}, **options
    )
    figures = {name: line for name, _, line in (line.partition(": ") for line in lines)}
    assert figures["measured on"].startswith("640 of 3,000 rows, neighbours of 640")
    lost = ((embedding.to_numpy() - rows) ** 2).sum() / ((rows - rows.mean(axis=0)) ** 2).sum()
    assert float(figures["relative error"].split()[0]) == pytest.approx(lost, rel=0.2)


def test_a_large_table_that_falls_short_is_not_written_and_its_work_stays(rows_path, tmp_path):
    output, work = tmp_path / "x.nnc", tmp_path / "x.nnc.work"
    with pytest.raises(
        NotGoodEnough, match=r"error .*; the finished work stays in .*x\.nnc\.work"
    ):
        nncompress.compress(rows_path, output, require={"error": 1e-6}, **CODES)
    assert not output.exists()
    assert (work / "table.nnc").is_dir()
    nncompress.compress(rows_path, output, require={"error": 0.9}, **CODES)
    assert output.is_file()
    assert not work.exists()
    for options, message in [
        ({"find": True, "require": {"error": 0.9}}, "--find codes all rows, but 3,000 are"),
        ({"pairs": ["x"]}, "--pairs looks up words in all rows, but 3,000"),
    ]:
        with pytest.raises(InputError, match=message):
            nncompress.compress(rows_path, output, report=None, **options)
