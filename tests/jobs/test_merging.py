import itertools

import numpy as np
import pytest

import nncompress
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.jobs.encoding import EncodingSettings
from nncompress.jobs.merging import merge
from tests.jobs.conftest import PLANS, ROWS
from tests.jobs.test_encoding import contents, encode


@pytest.mark.parametrize("kind", PLANS)
def test_one_file_of_shards_and_back(kind, rows_path, model_of, tmp_path):
    settings = EncodingSettings(effort="quick", shard_rows=1_024)
    directory = encode(model_of(kind), rows_path, tmp_path / "x.nnc", settings)
    one = merge([tmp_path / "x.nnc"], tmp_path / "one.nnc")
    assert (one.to_numpy() == directory.to_numpy()).all()
    told = {name: fact for name, fact in one.provenance.items() if name != "encoding"}
    assert told == directory.provenance
    assert one.model.encoding == directory.model.encoding
    assert (tmp_path / "one.nnc").is_file()
    back = merge([tmp_path / "one.nnc"], tmp_path / "back.nnc", shard_rows=1_024)
    assert (back.to_numpy() == directory.to_numpy()).all()
    assert [shard.num_rows for shard in back.table.shards] == [1_024, 1_024, 952]
    again = merge([tmp_path / "back.nnc"], tmp_path / "again.nnc")
    assert again.table.num_rows == ROWS
    assert (tmp_path / "again.nnc").read_bytes() == (tmp_path / "one.nnc").read_bytes()


@pytest.mark.parametrize("kind", ["codes", "both", "adaptive"])
def test_parts_of_a_table_make_the_table(kind, rows_path, model_of, tmp_path):
    model = model_of(kind)
    words = [f"w{i}" for i in range(ROWS)]
    whole = encode(model, rows_path, tmp_path / "whole.nnc", words=words)
    cuts = [0, 1_001, 1_024, ROWS]
    paths = []
    for first, last in itertools.pairwise(cuts):
        settings = EncodingSettings(effort="quick", rows=(first, last))
        encode(model, rows_path, tmp_path / f"{first}.nnc", settings, words=words)
        paths.append(tmp_path / f"{first}.nnc")
    one = merge(paths, tmp_path / "one.nnc")
    assert (one.to_numpy() == whole.to_numpy()).all()
    assert list(one) == words
    assert one.get_index("w1010") == 1_010
    shards = merge(paths, tmp_path / "shards.nnc", shard_rows=512)
    assert (shards.to_numpy() == whole.to_numpy()).all()
    assert list(shards) == words
    with pytest.raises(
        InputError, match=r"begins with row 1,024 of its table, but .*0.nnc before it ends with"
    ):
        merge([paths[0], paths[2]], tmp_path / "y.nnc")
    assert not (tmp_path / "y.nnc").exists()


def test_what_does_not_belong_together_is_refused(rows_path, model_of, tmp_path):
    encode(model_of("codes"), rows_path, tmp_path / "x.nnc")
    encode(model_of("both"), rows_path, tmp_path / "y.nnc")
    before = contents(tmp_path / "x.nnc")
    for tables, output, options, message in [
        (["x.nnc", "y.nnc"], "z.nnc", {}, "holds rows of a different model than"),
        (["x.nnc"], "x.nnc", {}, "is a directory; wanted the name of a file"),
        (["x.nnc"], "x.nnc", {"shard_rows": 512}, "already exists"),
        (["x.nnc"], "z.nnc", {"shard_rows": 7}, "a shard has 7 rows; wanted a multiple of 8"),
        (["none.nnc"], "z.nnc", {}, "does not exist"),
    ]:
        with pytest.raises(InputError, match=message):
            merge([tmp_path / name for name in tables], tmp_path / output, **options)
    assert contents(tmp_path / "x.nnc") == before
    assert not (tmp_path / "z.nnc").exists()


@pytest.mark.filterwarnings("ignore:.* rows of .* have words")
def test_words_of_several_tables_are_those_of_the_first(rows_path, model_of, tmp_path):
    model = model_of("codes")
    for name in ("a", "b"):
        settings = EncodingSettings(effort="quick", rows=(0, 100))
        words = [f"w{i}" for i in range(50)] + [f"{name}{i}" for i in range(50)]
        encode(model, rows_path, tmp_path / f"{name}.nnc", settings, words=words)
    paths = [tmp_path / "a.nnc", tmp_path / "b.nnc"]
    with pytest.warns(UserWarning, match="50 rows repeat the word of an earlier row"):
        one = merge(paths, tmp_path / "one.nnc")
    assert one.table.num_rows == 200
    assert len(one) == 150
    shards = merge(paths, tmp_path / "shards.nnc", shard_rows=64)
    assert len(shards) == 150
    assert shards.index_to_key[:] == one.index_to_key[:]
    assert np.array_equal(shards.to_numpy(), one.to_numpy())
    assert isinstance(CompressedEmbedding.load(tmp_path / "one.nnc"), CompressedEmbedding)


def test_a_part_of_a_table_is_not_written_over(rows_path, model_of, tmp_path):
    directory = tmp_path / "x.nnc"
    embedding = encode(model_of("codes"), rows_path, directory)
    before = contents(directory)
    for name in ("model.nnc", "rows-00001.nnc", "manifest.json"):
        for write in (
            lambda path: merge([directory], path),
            embedding.save,
            lambda path: nncompress.compress(rows_path, path, report=None),
        ):
            with pytest.raises(InputError, match=f"{name} is a part of the table in .*x.nnc; "):
                write(directory / name)
    assert contents(directory) == before
