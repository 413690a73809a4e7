import itertools
import os
from dataclasses import replace

import numpy as np
import pytest

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.directory_writing import adding_to
from nncompress.embedding.model_file import write_model
from nncompress.embedding.table_directory import read_manifest, write_manifest
from nncompress.errors import InputError, OutputError
from nncompress.formats.work import WorkDirectory
from nncompress.jobs import blocks
from nncompress.jobs.block_encoder import BlockEncoder
from nncompress.jobs.encoding import EncodingSettings, encode_rows
from nncompress.jobs.models import open_model
from nncompress.jobs.output import Output
from nncompress.jobs.shard_files import ShardFiles
from nncompress.machine import Machine
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources.open_rows import open_rows
from tests.jobs.conftest import DIM, PLANS, ROWS

QUICK = EncodingSettings(effort="quick", shard_rows=1_024)


def encode(model, source, output, settings=QUICK, **options):
    if model.codebook is None:
        settings = replace(settings, effort="default")
    words = options.pop("words", None)
    with open_rows(source, unit_rows=model.unit_rows, words=words) as opened:
        return encode_rows(model, opened, output, settings, **options)


def contents(directory):
    return {file.name: file.read_bytes() for file in sorted(directory.iterdir())}


def error_of(embedding, rows):
    decoded = embedding.to_numpy()
    return float(((decoded - rows) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("kind", PLANS)
def test_all_rows_are_encoded(kind, rows, rows_path, model_of, tmp_path, small_blocks):
    model = model_of(kind)
    embedding = encode(model, rows_path, tmp_path / "x.nnc")
    assert [shard.num_rows for shard in embedding.table.shards] == [1_024, 1_024, 952]
    assert not (tmp_path / "x.nnc.work").exists()
    wanted = rows / np.linalg.norm(rows, axis=1, keepdims=True) if model.unit_rows else rows
    spread = ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=1).mean()
    error = error_of(embedding, wanted)
    assert error < 1.2 * model.encoding["error"] * spread
    # What the manifest says is what is there.
    facts = embedding.provenance
    assert np.isclose(facts["loss"], error / 2, rtol=1e-5)
    distances = np.linalg.norm(embedding.to_numpy() - wanted, axis=1)
    assert np.isclose(facts["mean_distance"], distances.mean(), rtol=1e-5)
    assert facts["source_shape"] == [ROWS, DIM]
    assert facts["source"] == "rows.npy"
    assert (CompressedEmbedding.load(tmp_path / "x.nnc", verify=True).to_numpy() == (
        embedding.to_numpy()
    )).all()  # fmt: skip


@pytest.mark.parametrize("kind", ["codes", "both", "adaptive"])
def test_blocks_and_threads_change_nothing(kind, rows_path, model_of, tmp_path, monkeypatch):
    model = model_of(kind)
    results = []
    for number, (size, threads) in enumerate([(128, 1), (512, 2), (65_536, 2)]):
        monkeypatch.setattr(blocks, "_MOST_BLOCK_ROWS", size)
        embedding = encode(
            model, rows_path, tmp_path / f"{number}.nnc", machine=Machine(threads=threads)
        )
        results.append(embedding.to_numpy())
        results.append(b"".join(  # sums of losses are cut otherwise
            content[100:] for name, content in contents(tmp_path / f"{number}.nnc").items()
            if name == "model.nnc"
        ))  # fmt: skip
    assert (results[0] == results[2]).all()
    assert (results[0] == results[4]).all()
    assert results[1] == results[3] == results[5]


@pytest.mark.parametrize("kind", ["codes", "adaptive"])
@pytest.mark.parametrize("states", [1, 2, 5])
def test_a_job_that_is_ended_goes_on(
    kind, states, rows_path, model_of, tmp_path, small_blocks, stop_and_go
):
    model = model_of(kind)
    encode(model, rows_path, tmp_path / "whole.nnc")
    job = lambda: encode(model, rows_path, tmp_path / "x.nnc")  # noqa: E731
    if states == 1:  # one state, that a job is complete, is written after the last
        _, stops = stop_and_go(job, 2)
    else:
        _, stops = stop_and_go(job, states)
    assert stops >= 24 // (max(states, 2)) - 1
    assert contents(tmp_path / "x.nnc") == contents(tmp_path / "whole.nnc")
    assert not (tmp_path / "x.nnc.work").exists()


def test_what_is_done_is_not_encoded_again(
    rows_path, model_of, tmp_path, small_blocks, monkeypatch
):
    model = model_of("codes")
    save, saved = WorkDirectory.save, []

    def stopping(*arguments):
        save(*arguments)
        saved.append(arguments[1])
        if len(saved) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(WorkDirectory, "save", stopping)
    with pytest.raises(KeyboardInterrupt):
        encode(model, rows_path, tmp_path / "x.nnc")
    read = []
    with open_rows(rows_path) as source:
        whole = source.read

        def counted(first, last):
            read.append((first, last))
            return whole(first, last)

        source.read = counted
        encode_rows(model, source, tmp_path / "x.nnc", QUICK)
    # 20 blocks of 128 rows: two shards of 8, and 4 more.
    assert sorted(read) == [(a, min(a + 128, ROWS)) for a in range(20 * 128, ROWS, 128)]


def test_a_damaged_block_is_encoded_again(
    rows_path, model_of, tmp_path, small_blocks, monkeypatch
):
    model = model_of("codes")
    encode(model, rows_path, tmp_path / "whole.nnc")
    save, saved = WorkDirectory.save, []

    def stopping(*arguments):
        save(*arguments)
        saved.append(arguments[1])
        if len(saved) == 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(WorkDirectory, "save", stopping)
        with pytest.raises(KeyboardInterrupt):
            encode(model, rows_path, tmp_path / "x.nnc")
    work = tmp_path / "x.nnc.work"
    for path in (work / "rows-00000.state", next(work.glob("block-*.state"))):
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged; that part of the work will be done again"):
        encode(model, rows_path, tmp_path / "x.nnc")
    assert contents(tmp_path / "x.nnc") == contents(tmp_path / "whole.nnc")


def test_parts_of_the_rows(rows, rows_path, model_of, tmp_path, small_blocks):
    model = model_of("codes")
    whole = encode(model, rows_path, tmp_path / "whole.nnc").to_numpy()
    part = encode(
        model,
        rows_path,
        tmp_path / "part.nnc",
        EncodingSettings(effort="quick", rows=(900, 2_100)),
    )
    assert (part.to_numpy() == whole[900:2_100]).all()
    assert read_manifest(tmp_path / "part.nnc").first_row == 900
    for wanted in [(0, ROWS + 1), (5, 5), (-1, 4)]:
        with pytest.raises(InputError, match=r"rows .* requested, but .*rows.npy has 3,000"):
            encode(model, rows_path, tmp_path / "y.nnc", EncodingSettings(rows=wanted))


def test_rows_are_appended_and_none_rewritten(rows, rows_path, model_of, tmp_path, small_blocks):
    model = model_of("codes")
    encode(model, rows_path, tmp_path / "x.nnc")
    before = contents(tmp_path / "x.nnc")
    np.save(tmp_path / "more.npy", rows[:700] + 0.01)
    settings = EncodingSettings(effort="quick", append=True)
    larger = encode(model, tmp_path / "more.npy", tmp_path / "x.nnc", settings)
    after = contents(tmp_path / "x.nnc")
    assert larger.table.num_rows == ROWS + 700
    assert {name for name in after if after[name] != before.get(name)} == {
        "manifest.json", "rows-00003.nnc",
    }  # fmt: skip
    everything = np.concatenate([rows, rows[:700] + 0.01])
    assert np.isclose(larger.provenance["loss"], error_of(larger, everything) / 2, rtol=1e-5)
    assert larger.provenance["source_shape"] == [ROWS + 700, DIM]


def test_a_job_of_appending_that_is_ended_goes_on(
    rows, rows_path, model_of, tmp_path, small_blocks, stop_and_go
):
    model = model_of("both")
    np.save(tmp_path / "more.npy", rows[:700] + 0.01)
    settings = EncodingSettings(effort="quick", append=True)
    for name in ("whole.nnc", "x.nnc"):
        encode(model, rows_path, tmp_path / name)
    encode(model, tmp_path / "more.npy", tmp_path / "whole.nnc", settings)
    _, stops = stop_and_go(
        lambda: encode(model, tmp_path / "more.npy", tmp_path / "x.nnc", settings), 2
    )
    assert stops > 1
    assert contents(tmp_path / "x.nnc") == contents(tmp_path / "whole.nnc")


def test_rows_of_another_model_are_not_appended(rows_path, model_of, tmp_path):
    encode(model_of("codes"), rows_path, tmp_path / "x.nnc")
    before = contents(tmp_path / "x.nnc")
    settings = EncodingSettings(append=True)
    with pytest.raises(InputError, match="holds rows of another model"):
        encode(model_of("both"), rows_path, tmp_path / "x.nnc", settings)
    with pytest.raises(InputError, match="already exists"):
        encode(model_of("codes"), rows_path, tmp_path / "x.nnc")
    with pytest.raises(InputError, match=r"has no manifest.json"):
        encode(model_of("codes"), rows_path, tmp_path / "none.nnc", settings)
    assert contents(tmp_path / "x.nnc") == before
    assert not (tmp_path / "x.nnc.work").exists()


def test_new_rows_that_fit_worse_are_told(rows, rows_path, model_of, tmp_path, random):
    model = model_of("codes")
    encode(model, rows_path, tmp_path / "x.nnc")
    settings = EncodingSettings(effort="quick", append=True)
    np.save(tmp_path / "like.npy", rows[:500] + 0.01)
    encode(model, tmp_path / "like.npy", tmp_path / "x.nnc", settings)
    unlike = 4.0 * random.normal(size=(500, DIM))
    np.save(tmp_path / "unlike.npy", unlike.astype(np.float32))
    with pytest.warns(UserWarning, match="fit the model worse than those already in the table"):
        encode(model, tmp_path / "unlike.npy", tmp_path / "x.nnc", settings)
    with pytest.warns(UserWarning, match="worse than the sample it was learnt on"):
        encode(model, tmp_path / "unlike.npy", tmp_path / "y.nnc")


def test_words_are_those_of_their_rows(rows_path, model_of, tmp_path, small_blocks):
    words = [f"w{i % 2_500}" for i in range(2_900)]
    (tmp_path / "words").write_text("".join(f"{word}\n" for word in words))
    with pytest.warns(UserWarning, match="rows of .* have words|an earlier row"):
        embedding = encode(
            model_of("codes"), rows_path, tmp_path / "x.nnc", words=tmp_path / "words"
        )
    assert len(embedding) == 2_500
    assert embedding.index_to_key[2_499] == "w2499"
    assert embedding.index_to_key[2_500] == 2_500  # its word is the first row's
    assert embedding.index_to_key[2_950] == 2_950
    assert embedding.get_index("w17") == 17
    part = EncodingSettings(effort="quick", rows=(512, 1_024))
    with pytest.warns(UserWarning, match="rows of .* have words"):
        some = encode(
            model_of("codes"), rows_path, tmp_path / "y.nnc", part, words=tmp_path / "words"
        )
    assert some.get_index("w512") == 0
    assert "w17" not in some


def test_a_table_that_changed_is_refused_and_blocks_stay(
    rows, rows_path, model_of, tmp_path, small_blocks, monkeypatch
):
    model = model_of("codes")
    save, count = WorkDirectory.save, itertools.count()

    def stopping(*arguments):
        save(*arguments)
        if next(count) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(WorkDirectory, "save", stopping)
        with pytest.raises(KeyboardInterrupt):
            encode(model, rows_path, tmp_path / "x.nnc")
    blocks_before = sorted((tmp_path / "x.nnc.work").glob("block-*"))
    os.utime(rows_path, (1, 1))
    with pytest.raises(InputError, match="holds the work of another job, with table"):
        encode(model, rows_path, tmp_path / "x.nnc")
    assert sorted((tmp_path / "x.nnc.work").glob("block-*")) == blocks_before
    with pytest.raises(InputError, match="with effort quick"):
        encode(model, rows_path, tmp_path / "x.nnc", EncodingSettings(shard_rows=1_024))
    assert len(blocks_before) == 4


def test_bad_rows_are_told_by_their_number_and_blocks_stay(
    rows, rows_path, model_of, tmp_path, small_blocks
):
    bad = rows.copy()
    bad[2_000, 3] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(InputError, match=r"nan in row 2,?000, column 3"):
        encode(model_of("codes"), tmp_path / "bad.npy", tmp_path / "x.nnc")
    assert (tmp_path / "x.nnc.work" / "rows-00000.state").is_file()
    assert not (tmp_path / "x.nnc").exists()
    np.save(tmp_path / "wide.npy", np.ones((5, 3), np.float32))
    with pytest.raises(InputError, match="has 3 columns; wanted 12"):
        encode(model_of("codes"), tmp_path / "wide.npy", tmp_path / "y.nnc")


def test_no_room_is_told_at_once(rows_path, model_of, tmp_path, monkeypatch):
    model = model_of("codes")
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Full)
    with pytest.raises(InputError, match="3,000 encoded rows needs"):
        encode(model, rows_path, tmp_path / "x.nnc")
    assert not (tmp_path / "x.nnc.work").exists()


class _Full:
    free = 100


def test_any_table_of_the_project_is_a_model(rows, rows_path, model_of, tmp_path):
    model = model_of("both")
    write_model(tmp_path / "m", model)
    directory = encode(open_model(tmp_path / "m"), rows_path, tmp_path / "x.nnc")
    directory.save(tmp_path / "one.nnc")
    for path in (tmp_path / "x.nnc", tmp_path / "one.nnc"):
        again = open_model(path)
        more = encode(again, rows_path, tmp_path / f"{path.stem}-again.nnc")
        assert error_of(more, rows) < 1.1 * error_of(directory, rows)
    with pytest.raises(InputError, match="does not exist"):
        open_model(tmp_path / "none")


def test_a_model_that_does_not_tell_its_loss_is_refused(table, rows_path, tmp_path):
    CompressedEmbedding.from_codes(*table).save(tmp_path / "x.nnc")
    np.save(tmp_path / "rows9.npy", np.ones((20, 9), np.float32))
    with pytest.raises(InputError, match="does not record the loss of its codes"):
        encode(open_model(tmp_path / "x.nnc"), tmp_path / "rows9.npy", tmp_path / "y.nnc")


def test_a_failing_disk_leaves_the_work(rows_path, model_of, tmp_path, small_blocks, monkeypatch):
    model = model_of("codes")
    with monkeypatch.context() as patched:
        patched.setattr(
            "nncompress.jobs.output.atomic_directory",
            lambda path: (_ for _ in ()).throw(OutputError(f"{path} cannot be written", 28)),
        )
        with pytest.raises(OutputError, match="cannot be written"):
            encode(model, rows_path, tmp_path / "x.nnc")
    assert len(list((tmp_path / "x.nnc.work").glob("rows-*"))) == 3
    assert encode(model, rows_path, tmp_path / "x.nnc").table.num_rows == ROWS


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="unknown effort 'none'"):
        EncodingSettings(effort="none")
    with pytest.raises(InputError, match="a shard has 0 rows"):
        EncodingSettings(shard_rows=0)


def test_an_effort_that_nothing_comes_of_is_refused(rows, model_of, tmp_path):
    with open_rows(rows) as source, pytest.raises(InputError, match="has no additive codes to"):
        encode_rows(model_of("residuals"), source, tmp_path / "x.nnc", QUICK)


def append_settings():
    return EncodingSettings(effort="quick", append=True)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_rows_are_appended_once_wherever_a_job_is_ended(
    moment, rows, rows_path, model_of, tmp_path, small_blocks, monkeypatch
):
    model = model_of("codes")
    encode(model, rows_path, tmp_path / "x.nnc")
    np.save(tmp_path / "more.npy", rows[:300])

    def job():
        return encode(model, tmp_path / "more.npy", tmp_path / "x.nnc", append_settings())

    def stopping(directory, manifest):
        if moment == "after":
            write_manifest(directory, manifest)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nncompress.jobs.output.write_manifest", stopping)
        with pytest.raises(KeyboardInterrupt):
            job()
    if moment == "after":  # others may go on meanwhile
        encode(
            model, rows_path, tmp_path / "x.nnc", append_settings(), work=tmp_path / "other.work"
        )
    assert job().table.num_rows == ROWS + 300 + (ROWS if moment == "after" else 0)
    assert not (tmp_path / "x.nnc.work").exists()
    assert not list((tmp_path / "x.nnc").glob(".nncompress-*"))


def test_rows_are_added_by_one_process_at_a_time(rows, rows_path, model_of, tmp_path):
    model = model_of("codes")
    encode(model, rows_path, tmp_path / "x.nnc")
    embedding = CompressedEmbedding.load(tmp_path / "x.nnc").add(None, rows[:10])
    before = contents(tmp_path / "x.nnc")
    with adding_to(tmp_path / "x.nnc"):
        with pytest.raises(InputError, match=r"another process is adding rows to .*x.nnc; wait"):
            encode(model, rows_path, tmp_path / "x.nnc", append_settings(), work=tmp_path / "w")
        with pytest.raises(InputError, match=r"another process is adding rows to .*x.nnc; wait"):
            embedding.save_shards(tmp_path / "x.nnc")
    assert contents(tmp_path / "x.nnc") == before
    embedding.save_shards(tmp_path / "x.nnc")
    assert CompressedEmbedding.load(tmp_path / "x.nnc").table.num_rows == ROWS + 10


def test_shards_have_their_words_in_whatever_order_blocks_come(
    rows, rows_path, model_of, tmp_path, small_blocks
):
    model = model_of("codes")
    (tmp_path / "words").write_text("".join(f"w{i % 700}\n" for i in range(ROWS)))

    def backwards(blocks):
        encoder = BlockEncoder(model, EFFORTS["quick"], Machine())
        for block in reversed(list(blocks)):
            yield block, encoder.encode(rows[block.first : block.last], block.first)

    for name, options in [("one.nnc", {}), ("x.nnc", {"runner": backwards})]:
        with pytest.warns(UserWarning, match="the word of an earlier row"):
            encode(model, rows_path, tmp_path / name, words=tmp_path / "words", **options)
    assert contents(tmp_path / "x.nnc") == contents(tmp_path / "one.nnc")
    assert CompressedEmbedding.load(tmp_path / "x.nnc").get_index("w699") == 699


def test_a_table_that_cannot_be_linked_is_copied(rows_path, model_of, tmp_path, monkeypatch):
    model = model_of("codes")
    encode(model, rows_path, tmp_path / "linked.nnc")

    def fails(*arguments, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", fails)
    encode(model, rows_path, tmp_path / "copied.nnc")
    assert contents(tmp_path / "copied.nnc") == contents(tmp_path / "linked.nnc")


@pytest.mark.parametrize(("output", "work"), [("x.nnc", "x.nnc/w"), ("w/x.nnc", "w")])
def test_work_and_output_are_not_in_one_another(output, work, rows_path, model_of, tmp_path):
    with pytest.raises(InputError, match="overlap; choose another work"):
        encode(model_of("codes"), rows_path, tmp_path / output, work=tmp_path / work)
    assert not (tmp_path / work).exists()


def test_a_table_that_is_changed_meanwhile_is_refused(rows_path, model_of, tmp_path, monkeypatch):
    model, assemble = model_of("codes"), ShardFiles.assemble

    def changing(*arguments):
        os.utime(rows_path, (1, 1))
        return assemble(*arguments)

    monkeypatch.setattr(ShardFiles, "assemble", changing)
    with pytest.raises(InputError, match=r"was changed while its rows were encoded; remove"):
        encode(model, rows_path, tmp_path / "x.nnc")
    assert not (tmp_path / "x.nnc").exists()


def test_no_room_for_copies_is_told(rows_path, model_of, tmp_path, monkeypatch):
    model = model_of("codes")

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.link", full)
        patched.setattr("shutil.copyfileobj", full)
        with pytest.raises(OutputError, match=r"x.nnc cannot be written: No space left on device"):
            encode(model, rows_path, tmp_path / "x.nnc")
    assert not (tmp_path / "x.nnc").exists()
    with monkeypatch.context() as patched:  # on another file system, copies need as much again
        patched.setattr(Output, "needs_copies_from", lambda *_: True)
        patched.setattr("shutil.disk_usage", lambda path: _Full)
        with pytest.raises(InputError, match=r"x.nnc.*, where 100 are free"):
            encode(model, rows_path, tmp_path / "x.nnc")
    assert encode(model, rows_path, tmp_path / "x.nnc").table.num_rows == ROWS
