import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.joining import as_one, joined, part_of
from nncompress.embedding.sharded_table import ShardedTable, codes_of
from nncompress.embedding.sharded_vocabulary import ShardedVocabulary, without_known
from nncompress.embedding.vocabulary import Vocabulary
from tests.embedding.residual_tables import random_table
from tests.embedding.sharding import cut

KINDS = ["codes", "residuals", "both"]


def make(kind, seed=0, rows=70, **sizes):
    random = np.random.default_rng(seed)
    if kind == "codes":
        codes = random.integers(11, size=(rows, 3))
        return CodeTable.of_codes(codes, random.normal(size=(33, 9)))
    return random_table(random, additive=kind == "both", rows=rows, **sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_one_table(kind):
    table = make(kind)
    sharded = ShardedTable(cut(table, 10, 11, 40))
    whole = table.decode(slice(None))
    assert sharded.num_rows == 70
    assert (sharded.decode(slice(None)) == whole).all()
    assert (sharded.decode(slice(60, 5, -7)) == whole[60:5:-7]).all()
    for rows in ([69, 0, 10, 11, 39, 40, 10], [12, 13], []):
        chosen = np.array(rows, np.int64)
        assert (sharded.decode(chosen) == whole[chosen]).all()
    assert all((sharded.vector(row) == whole[row]).all() for row in (0, 10, 11, 69))
    assert [first for first, _ in sharded.blocks()] == [0, 10, 11, 40]
    assert np.isclose(sharded.row_bytes, table.row_bytes, atol=2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_rows", [70, 41, 9])
def test_the_nearest_rows_are_those_of_one_table(kind, num_rows):
    table = make(kind)
    sharded = ShardedTable(cut(table, 10, 11, 40))
    query = table.vector(3) / np.linalg.norm(table.vector(3))
    left_out = np.array([3, 41])
    assert (sharded.cosines(query, num_rows) == table.cosines(query, num_rows)).all()
    rows, scores = table.nearest(query, 12, num_rows, left_out)
    found, their_scores = sharded.nearest(query, 12, num_rows, left_out)
    assert found.tolist() == rows.tolist()
    assert their_scores.tolist() == scores.tolist()


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(KINDS), group=st.integers(1, 5), rows=st.integers(1, 90),
    ends=st.lists(st.integers(1, 89), max_size=4, unique=True), bits=st.integers(0, 2),
)  # fmt: skip
def test_joined_shards_are_the_table_again(kind, group, rows, ends, bits):
    table = make(kind, rows=rows, **({} if kind == "codes" else {
        "block_rows": group, "cluster_bits": bits,
    }))  # fmt: skip
    shards = cut(table, *sorted(end for end in ends if end < rows))
    again = joined(shards, in_memory=True)
    assert again.num_rows == rows
    assert (again.decode(slice(None)) == table.decode(slice(None))).all()
    assert as_one(ShardedTable(shards)).num_rows == rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "last"), [(0, 504), (504, 1008), (1008, 1203), (0, 1203)])
def test_a_part_is_the_rows_of_a_table(kind, first, last):
    table = make(kind, rows=1203)
    part = part_of(table, first, last)
    assert part.num_rows == last - first
    assert (part.decode(slice(None)) == table.decode(slice(first, last))).all()


def test_codes_of_all_rows():
    table = make("both")
    codes = np.concatenate(list(codes_of(ShardedTable(cut(table, 10, 40)))))
    assert (codes == table.additive.codes(slice(None))).all()


WORDS = [None if i % 7 == 5 else f"w{i * i % 97}-{i}" for i in range(70)]


def vocabularies(*ends):
    cuts = [0, *ends, len(WORDS)]
    return [Vocabulary.of_words(WORDS[a:b], b - a) for a, b in itertools.pairwise(cuts)]


def test_words_are_those_of_one_vocabulary():
    words = ShardedVocabulary(vocabularies(10, 11, 40), [0, 10, 11, 40], 70)
    assert words.words() == WORDS
    assert [words.word(row) for row in range(70)] == WORDS
    assert [words.find(word) for word in WORDS if word] == [i for i in range(70) if WORDS[i]]
    assert words.find("none of them") == -1
    assert len(words) == sum(word is not None for word in WORDS)
    assert words.are_named(np.arange(70)).tolist() == [word is not None for word in WORDS]


def test_shards_may_have_no_words():
    first, _, last = vocabularies(10, 40)
    words = ShardedVocabulary([first, None, last], [0, 10, 40], 70)
    assert words.words() == [*WORDS[:10], *[None] * 30, *WORDS[40:]]
    assert words.word(12) is None
    assert words.find(WORDS[41]) == 41


def test_words_that_rows_before_have():
    first, second = vocabularies(20)
    assert without_known(["new", WORDS[3], None, WORDS[30]], [first, second]) == [
        "new", None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_added_are_a_shard(kind):
    table = make(kind)
    embedding = CompressedEmbedding.of_table(table, WORDS)
    new = table.decode(slice(0, 5)) + 0.001
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        larger = embedding.add([f"new {i}" for i in range(5)], new)
    assert larger.table.shards[0] is table
    assert [shard.num_rows for shard in larger.table.shards] == [70, 5]
    assert larger.index_to_key[72] == "new 2"
    assert (larger[WORDS[4]] == embedding[WORDS[4]]).all()
    again = larger.add(["and one more"], new[:1])
    assert [shard.num_rows for shard in again.table.shards] == [70, 5, 1]
    chosen = again.vectors_for_all(["and one more", WORDS[4]])
    assert list(chosen) == ["and one more", WORDS[4]]
    assert (chosen[WORDS[4]] == embedding[WORDS[4]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_of_shards(kind, tmp_path):
    table = make(kind)
    embedding = CompressedEmbedding.of_table(table, WORDS)
    larger = embedding.add(["new"], table.decode(slice(3, 4)))
    larger.save(tmp_path / "x.nnc")
    loaded = CompressedEmbedding.load(tmp_path / "x.nnc", verify=True)
    assert loaded.index_to_key[:] == larger.index_to_key[:]
    assert (loaded.to_numpy() == larger.to_numpy()).all()
    assert loaded.most_similar("new", topn=5) == larger.most_similar("new", topn=5)
