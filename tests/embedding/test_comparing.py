import itertools

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.embedding.code_table import CodeTable


def check_same(ours, theirs):
    """The same keys and nearly the same numbers, of the same types."""
    if isinstance(theirs, np.ndarray):
        assert type(ours) is np.ndarray
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6)
        return
    assert type(ours) is type(theirs) is list
    assert [key for key, _ in ours] == [key for key, _ in theirs]
    assert [tuple(map(type, pair)) for pair in ours] == [tuple(map(type, p)) for p in theirs]
    numbers = [[number for _, number in pairs] for pairs in (ours, theirs)]
    np.testing.assert_allclose(*numbers, atol=2e-6)


VECTOR = np.linspace(-1, 2, 9).astype(np.float32)
QUERIES = [
    ("w3", None),
    (7, None),
    (["w3", ("w4", 0.3), 9], ["w5", (VECTOR, -0.4)]),
    (VECTOR, "w1"),
    (None, "w1"),
    (np.array([VECTOR, 2 * VECTOR[::-1]]), None),
]


@pytest.mark.parametrize(
    "clips",
    [
        {}, {"clip_start": 20}, {"clip_end": 25}, {"clip_start": 10, "clip_end": 40},
        {"clip_start": 30, "clip_end": 20}, {"clip_start": 59, "clip_end": 900},
        {"clip_end": -10}, {"restrict_vocab": 12}, {"clip_start": 20, "restrict_vocab": 30},
        {"restrict_vocab": 0, "clip_start": 50},
    ],
)  # fmt: skip
def test_the_nearest_words_within_clips_are_gensims(keyed, in_gensim, clips):
    for topn, (positive, negative) in itertools.product([5, 0, None, 1_000, np.int64(3)], QUERIES):
        theirs = in_gensim.most_similar(positive, negative, topn, **clips)
        check_same(keyed.most_similar(positive, negative, topn, **clips), theirs)


def test_arguments_have_gensims_order(keyed, in_gensim):
    theirs = in_gensim.most_similar(["w1"], ["w2"], 4, 10, 50)
    check_same(keyed.most_similar(["w1"], ["w2"], 4, 10, 50), theirs)


def test_clips_go_with_the_rows_to_look_at(keyed):
    rows = [3, 20, 21, 40]
    found = keyed.most_similar("w3", clip_start=20, clip_end=40, rows=rows)
    assert {key for key, _ in found} == {"w20", "w21"}


@pytest.mark.parametrize(
    "clips", [{"clip_start": "3"}, {"clip_end": 2.5}, {"clip_start": None, "clip_end": "x"}]
)
def test_clips_that_are_no_numbers_are_refused(keyed, clips):
    with pytest.raises(InputError, match=r"clip_\w+ is .*; wanted a number of rows"):
        keyed.most_similar("w1", **clips)


def test_an_index_of_gensims_is_refused(keyed):
    with pytest.raises(InputError, match=r"an indexer, object, was given; .*build_index"):
        keyed.most_similar("w1", indexer=object())


@pytest.mark.parametrize("name", ["similar_by_word", "similar_by_key", "similar_by_vector"])
def test_words_like_a_key_or_a_vector_are_gensims(keyed, in_gensim, name):
    for query in [VECTOR] if name == "similar_by_vector" else ["w8", 8]:
        for settings in ((), (4,), (None,), (0,), (3, 20)):
            theirs = getattr(in_gensim, name)(query, *settings)
            check_same(getattr(keyed, name)(query, *settings), theirs)
    rows = [key for key, _ in getattr(keyed, name)(query, rows=[1, 2, 8])]
    assert set(rows) <= {"w1", "w2", "w8"}


@pytest.mark.parametrize("query", ["w3", 4, np.int64(4), VECTOR, VECTOR.astype(float)])
@pytest.mark.parametrize("others", [(), None, ["w9", "w3", 7], ("w1",)])
def test_distances_are_gensims(keyed, in_gensim, query, others):
    check_same(keyed.distances(query, others), in_gensim.distances(query, others))


def test_closer_words_and_ranks_are_gensims(keyed, in_gensim):
    for first, second in [("w1", "w2"), (3, "w4"), ("w5", 59), ("w6", "w6")]:
        theirs = in_gensim.closer_than(first, second)
        assert keyed.closer_than(first, second) == theirs
        assert keyed.words_closer_than(first, second) == theirs
        assert keyed.rank(first, second) == in_gensim.rank(first, second)
        assert type(keyed.rank(first, second)) is int


def test_rows_without_a_word_are_not_among_the_closer_ones(keyed):
    words = [f"w{i}" if i % 2 else None for i in range(60)]
    half = CompressedEmbedding.of_table(keyed.table, words)
    expected = [key for key in keyed.closer_than("w1", "w3") if int(key[1:]) % 2]
    assert half.closer_than("w1", "w3") == expected
    assert half.rank("w1", "w3") == 1 + len(expected)
    plain = CompressedEmbedding.of_table(keyed.table, None)
    assert [f"w{row}" for row in plain.closer_than(1, 3)] == keyed.closer_than("w1", "w3")


def test_the_most_similar_of_a_list_is_gensims(keyed, in_gensim):
    for key in ("w1", 30):
        keys = ["w5", 9, "w30", "w31"]
        assert keyed.most_similar_to_given(key, keys) == in_gensim.most_similar_to_given(key, keys)


def test_relative_cosines_are_gensims(keyed, in_gensim):
    for arguments in (("w1", "w2"), (3, "w4", 2)):
        ours = keyed.relative_cosine_similarity(*arguments)
        theirs = in_gensim.relative_cosine_similarity(*arguments)
        assert type(ours) is type(theirs) is float
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_cosines_with_vectors_are_gensims(keyed, in_gensim, dtype):
    vector = (3 * VECTOR).astype(dtype)
    for others in (in_gensim.vectors, in_gensim.vectors[:0], 9 * in_gensim.vectors.astype(float)):
        theirs = in_gensim.cosine_similarities(vector, others)
        check_same(keyed.cosine_similarities(vector, others), theirs)
    theirs = in_gensim.cosine_similarities(vector, in_gensim.vectors)
    check_same(CompressedEmbedding.cosine_similarities(vector, keyed.vectors), theirs)


def test_rows_of_zeros_have_cosine_0():
    table = CodeTable.of_codes(np.array([[0], [1]]), np.array([[0.0, 0.0], [3.0, 4.0]]))
    embedding = CompressedEmbedding.of_table(table, ["zero", "other"])
    assert embedding.distances("other").tolist() == [1.0, 0.0]
    assert embedding.distances("zero").tolist() == [1.0, 1.0]
    cosines = embedding.cosine_similarities(np.array([3.0, 4.0]), embedding.vectors)
    assert cosines.tolist() == [0.0, 1.0]


def test_what_is_missing_is_named(keyed):
    for ask in (
        lambda: keyed.similar_by_word("none"),
        lambda: keyed.distances("none"),
        lambda: keyed.distances("w1", ["w2", "none"]),
        lambda: keyed.closer_than("w1", "none"),
        lambda: keyed.rank("none", "w1"),
        lambda: keyed.most_similar_to_given("w1", ["w2", "none"]),
        lambda: keyed.relative_cosine_similarity("w1", "none"),
    ):
        with pytest.raises(KeyError, match="'none': not among the 60 keys"):
            ask()


def test_what_is_no_list_or_no_vector_is_refused(keyed):
    for ask, message in [
        (lambda: keyed.distances("w1", "w2"), r"one key, 'w2', was given; wanted a list of keys"),
        (lambda: keyed.most_similar_to_given("w1", "w2"), "one key"),
        (lambda: keyed.most_similar_to_given("w1", []), "no keys were given"),
        (lambda: keyed.distances(np.ones(4)), r"type float64 and shape \(4,\)"),
        (lambda: keyed.distances([np.nan] * 9), "not finite"),
        (lambda: keyed.relative_cosine_similarity("w1", "w2", 0), "topn is 0"),
        (lambda: keyed.relative_cosine_similarity("w1", "w2", None), "topn is None"),
    ]:
        with pytest.raises(InputError, match=message):
            ask()
    alone = keyed.vectors_for_all(["w1"])
    with pytest.raises(InputError, match="there is no other key"):
        alone.relative_cosine_similarity("w1", "w1")


def test_nothing_but_blocks_of_the_table_is_decoded(keyed, monkeypatch):
    largest = []
    tables = {type(part) for part in [keyed.table, *getattr(keyed.table, "shards", [])]}
    for kind in tables:
        monkeypatch.setattr(kind, "decode", _counting(kind.decode, largest))
    monkeypatch.setattr("nncompress.embedding.code_table._BLOCK_BYTES", 8 * 36)
    monkeypatch.setattr("nncompress.embedding.residual_table._BLOCK_BYTES", 9 * 36)
    monkeypatch.setattr("nncompress.embedding.decoded_rows._NUMBERS_AT_ONCE", 8 * 9)
    keyed.distances("w1")
    keyed.closer_than("w1", "w2")
    keyed.most_similar_cosmul("w1", "w2")
    keyed.fill_norms()
    keyed.get_normed_vectors()
    keyed.cosine_similarities(VECTOR, keyed.vectors)
    keyed.vectors[:, 3]
    assert largest
    assert max(largest) <= 9


def _counting(decode, largest):
    def counted(self, rows):
        result = decode(self, rows)
        largest.append(len(result))
        return result

    return counted


def test_keys_whose_cosines_add_up_to_nothing_have_no_relative_one():
    rows = np.array([[1, 0], [0, 1], [0, 2]], np.float32)
    embedding = CompressedEmbedding.from_codes(np.arange(3)[:, None], rows, ["a", "b", "c"])
    with pytest.raises(InputError, match="add up to 0"):
        embedding.relative_cosine_similarity("a", "b", 2)
