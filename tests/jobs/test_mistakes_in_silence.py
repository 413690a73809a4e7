"""What was once wrong without a word: each is refused, or right."""

from dataclasses import replace

import numpy as np
import pytest

import nncompress
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.model_file import digest_of_model
from nncompress.embedding.table_directory import read_manifest
from nncompress.errors import FormatError, InputError
from nncompress.formats.work import WorkDirectory
from nncompress.jobs.block_encoder import BlockEncoder
from nncompress.jobs.encoding import EncodingSettings, encode_rows
from nncompress.jobs.learning import learn_model
from nncompress.jobs.merging import merge
from nncompress.machine import Machine
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources.open_rows import open_rows
from tests.jobs.conftest import PLANS, ROWS
from tests.jobs.test_encoding import QUICK, encode


def stop_after(monkeypatch, states):
    save, saved = WorkDirectory.save, []

    def stopping(*arguments):
        save(*arguments)
        saved.append(arguments[1])
        if len(saved) == states:
            raise KeyboardInterrupt

    monkeypatch.setattr(WorkDirectory, "save", stopping)


def test_a_job_goes_on_with_its_words_alone(
    rows_path, model_of, tmp_path, small_blocks, monkeypatch
):
    model = model_of("codes")
    for name in ("a", "b"):
        (tmp_path / name).write_text("".join(f"{name}{i}\n" for i in range(ROWS)))
    with monkeypatch.context() as patched:
        stop_after(patched, 9)
        with pytest.raises(KeyboardInterrupt):
            encode(model, rows_path, tmp_path / "x.nnc", words=tmp_path / "a")
    for words in (tmp_path / "b", ["a0"] * ROWS, None):
        with pytest.raises(InputError, match="holds the work of another job, with table"):
            encode(model, rows_path, tmp_path / "x.nnc", words=words)
    embedding = encode(model, rows_path, tmp_path / "x.nnc", words=tmp_path / "a")
    assert (embedding.index_to_key[0], embedding.index_to_key[-1]) == ("a0", f"a{ROWS - 1}")


def test_rows_are_divided_by_their_lengths_as_the_model_has_them(rows, model_of, tmp_path):
    for kind, unit_rows in [("codes", True), ("directions", False)]:
        with open_rows(rows, unit_rows=unit_rows) as source:
            with pytest.raises(InputError, match=f"divided by .* unit_rows={not unit_rows}"):
                encode_rows(model_of(kind), source, tmp_path / "x.nnc", QUICK)
            with pytest.raises(InputError, match=f"unit_rows={not unit_rows}"):
                learn_model(source, PLANS[kind], Machine(), num_rows=500)
    model = model_of("directions")
    other = replace(model, encoding={**model.encoding, "objective": "distance"})
    assert digest_of_model(model) != digest_of_model(other)


@pytest.mark.parametrize("way", ["directory", "file", "compressed"])
def test_rows_that_are_added_have_bits_by_weight_too(way, rows, random, tmp_path):
    rows = (rows * np.exp(random.uniform(-3, 1, size=(ROWS, 1)))).astype(np.float32)
    if way == "compressed":
        embedding = nncompress.compress(rows, tmp_path / "y.nnc", cosine=0.95, report=None)
    else:
        with open_rows(rows) as source:
            model = learn_model(source, PLANS["adaptive"], Machine(), num_rows=2_000)
        embedding = encode(model, rows, tmp_path / "x.nnc")
    if way == "file":
        embedding = merge([tmp_path / "x.nnc"], tmp_path / "one.nnc")
    lengths = np.linalg.norm(rows, axis=1)
    short = rows[np.argsort(lengths)[:200]]
    added = embedding.add(None, short).vectors[np.arange(ROWS, ROWS + 200)]
    cosines = (added * short).sum(axis=1) / np.linalg.norm(added, axis=1)
    assert (cosines / np.linalg.norm(short, axis=1)).mean() > 0.9
    # And whatever rows come with them.
    alone = embedding.add(None, short[:1]).vectors[[ROWS]]
    assert (alone[0] == added[0]).all()


def test_weights_that_were_given_are_not_known_of_other_rows(rows, tmp_path):
    embedding = nncompress.compress(
        rows, tmp_path / "x.nnc", weights=np.arange(1.0, ROWS + 1), adaptive=True, cosine=0.9,
        report=None,
    )  # fmt: skip
    with pytest.raises(InputError, match="or the weights were supplied"):
        embedding.add(None, rows[:5])


def test_parts_in_the_wrong_order_are_refused(rows_path, model_of, tmp_path):
    model = model_of("codes")
    for name, part in (("p0", (0, 1_000)), ("p1", (1_000, 2_000))):
        encode(model, rows_path, tmp_path / name, EncodingSettings("quick", rows=part))
    with pytest.raises(InputError, match=r"begins with row 0 of its table, but .*p1 before"):
        merge([tmp_path / "p1", tmp_path / "p0"], tmp_path / "x.nnc")
    # A part stays one, whatever its files are.
    merge([tmp_path / "p1"], tmp_path / "q1", shard_rows=512)
    assert read_manifest(tmp_path / "q1").first_row == 1_000
    with pytest.raises(InputError, match="begins with row 0"):
        merge([tmp_path / "q1", tmp_path / "p0"], tmp_path / "x.nnc")


def test_small_shards_are_put_together(rows_path, model_of, tmp_path):
    model, settings = model_of("both"), EncodingSettings("quick", shard_rows=256)
    words = [f"w{i}" for i in range(ROWS)]
    whole = encode(model, rows_path, tmp_path / "x.nnc", settings, words=words)
    fewer = merge([tmp_path / "x.nnc"], tmp_path / "y.nnc", shard_rows=1_024)
    assert [shard.num_rows for shard in fewer.table.shards] == [1_024, 1_024, 952]
    assert (fewer.to_numpy() == whole.to_numpy()).all()
    assert list(fewer) == words


def test_a_table_that_got_other_words_meanwhile_keeps_the_first(
    rows, rows_path, model_of, tmp_path, small_blocks, monkeypatch
):
    model = model_of("codes")
    append = replace(QUICK, append=True)
    encode(model, rows[:100], tmp_path / "x.nnc", words=[f"a{i}" for i in range(100)])
    words = [f"w{i}" for i in range(ROWS)]
    with monkeypatch.context() as patched:
        stop_after(patched, 12)
        with pytest.raises(KeyboardInterrupt):
            encode(model, rows_path, tmp_path / "x.nnc", append, words=words)
    encode(model, rows[:50], tmp_path / "x.nnc", append, words=words[:50], work=tmp_path / "other")
    larger = encode(model, rows_path, tmp_path / "x.nnc", append, words=words)
    assert len(larger) == 100 + ROWS == len(set(larger))
    assert larger.get_index("w7") == 107


def test_what_is_told_of_a_table_is_true_of_all_its_rows(rows, rows_path, model_of, tmp_path):
    embedding = encode(model_of("codes"), rows_path, tmp_path / "x.nnc")
    embedding.add(None, 3 * rows[:500]).save_shards(tmp_path / "x.nnc")
    facts = CompressedEmbedding.load(tmp_path / "x.nnc").provenance
    assert facts["source_shape"] == [ROWS + 500, 12]
    assert not {"loss", "mean_distance", "mean_cosine"} & facts.keys()
    larger = encode(model_of("codes"), rows[:10], tmp_path / "x.nnc", replace(QUICK, append=True))
    assert larger.provenance["source_shape"] == [ROWS + 510, 12]
    assert "loss" not in larger.provenance


@pytest.mark.parametrize("name", ["row_bytes", "loss", "seed", "step", "weight_unit", "error"])
@pytest.mark.parametrize("value", ["x", [1], 1e308, -1, True, 0])
def test_numbers_of_a_model_are_looked_at(name, value, rows, model_of, tmp_path):
    if value == 0 and name in ("row_bytes", "loss", "seed", "error"):
        return
    model = model_of("adaptive" if name in ("step", "weight_unit") else "codes")
    model = replace(model, encoding={**model.encoding, name: value})
    with pytest.raises(InputError, match=f"the model's {name} is"):
        encode(model, rows[:200], tmp_path / "x.nnc")


def test_shards_that_end_within_a_block_are_refused(rows, model_of, tmp_path):
    model = model_of("both")
    with pytest.raises(InputError, match="a shard has 1,001 rows; wanted a multiple of"):
        encode(model, rows, tmp_path / "x.nnc", EncodingSettings("quick", shard_rows=1_001))
    settings = EncodingSettings("quick", shard_rows=800)
    with open_rows(rows) as source:
        source.num_rows = 10**10
        with pytest.raises(InputError, match="at most 4,096 shards for 10,000,000,000 rows"):
            encode_rows(model, source, tmp_path / "x.nnc", settings)


def test_a_file_that_was_exchanged_is_told_by_its_size(rows_path, model_of, tmp_path):
    encode(model_of("codes"), rows_path, tmp_path / "x.nnc")
    with (tmp_path / "x.nnc" / "rows-00001.nnc").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(FormatError, match="the manifest says"):
        CompressedEmbedding.load(tmp_path / "x.nnc")


def test_a_model_that_was_refined_tells_its_own_error(rows, model_of):
    model = model_of("codes")
    rough = replace(model, codebook=(model.codebook + 0.2).astype(np.float16))
    with open_rows(rows) as source:
        refined = nncompress.refine_model(rough, source)
    sums = BlockEncoder(refined, EFFORTS["default"], Machine()).encode(rows, 0).sums
    assert np.isclose(refined.encoding["error"], sums.error, rtol=1e-6)
