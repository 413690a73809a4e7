import json

import numpy as np
import pytest

from nncompress import CompressedEmbedding, FormatError, InputError
from nncompress.embedding.export import export
from nncompress.embedding.subword_extras import from_extras, to_extras
from nncompress.sources.ngrams import FASTTEXT, FLORET, Ngrams
from nncompress.sources.subword_rows import Classifier, SubwordRows
from nncompress.sources.tables import open_table

WORDS = ["</s>", "walk", "walking", "größe", "sea"]


def embedding_of(rows, subwords, words=WORDS):
    """A table whose rows are decoded as they are, each being a codeword."""
    codes = np.arange(len(rows))[:, None]
    extras = to_extras(subwords)
    plain = CompressedEmbedding.from_codes(codes, rows, words)
    return CompressedEmbedding.of_table(plain.table, words, extras=extras)


@pytest.fixture
def ngrams():
    return Ngrams(FASTTEXT, 3, 4, 40)


@pytest.fixture
def rows(random):
    return random.normal(size=(45, 6)).astype(np.float32)


@pytest.fixture
def every(rows, ngrams):
    """All buckets have rows."""
    return embedding_of(rows, SubwordRows(ngrams, 5, None, True))


@pytest.fixture
def pruned(rows, ngrams):
    """The buckets of n-grams of the words alone have rows."""
    buckets, _ = ngrams.of([word.encode() for word in WORDS])
    kept = np.unique(buckets)
    return embedding_of(rows[: 5 + len(kept)], SubwordRows(ngrams, 5, kept, True))


def mean_of_ngrams(embedding, word):
    subwords = embedding.subwords
    buckets, _ = subwords.ngrams.of([word.encode()])
    return embedding.vectors[subwords.rows_of(buckets)].mean(axis=0)


def reloaded(embedding, tmp_path):
    embedding.save(tmp_path / "table.nnc")
    return CompressedEmbedding.load(tmp_path / "table.nnc", verify=True)


def test_words_without_a_row_are_means_of_their_ngrams(every, tmp_path):
    for embedding in (every, reloaded(every, tmp_path)):
        for word in ("walked", "søk", "日本語"):
            assert word in embedding
            expected = mean_of_ngrams(embedding, word)
            for vector in (embedding[word], embedding.get(word), embedding.get_vector(word)):
                np.testing.assert_allclose(vector, expected, rtol=1e-6)
        assert (embedding["walk"] == embedding[1]).all()
        both = embedding[["walk", "walked"]]
        np.testing.assert_array_equal(both, [embedding["walk"], embedding["walked"]])
        assert "walked" not in embedding.key_to_index
        assert list(embedding) == WORDS


def test_vectors_are_gensims(every):
    fasttext = pytest.importorskip("gensim.models.fasttext")
    theirs = fasttext.FastTextKeyedVectors(6, 3, 4, 40)
    theirs.vectors_ngrams = every.vectors[5:]
    for word in ("walked", "größen", "a", ""):
        assert word in every
        np.testing.assert_allclose(every[word], theirs.get_vector(word), rtol=1e-5, atol=1e-7)


def test_what_has_no_ngrams_is_zero_and_what_lost_them_all_is_missing(every, pruned, ngrams):
    assert every[""].tolist() == [0] * 6  # "<>" is shorter than an n-gram, as in fastText
    lost = next(
        word
        for word in map(str, range(1000))
        if not set(ngrams.of([word.encode()])[0]) & set(pruned.subwords.kept)
    )
    assert lost in every
    assert lost not in pruned
    assert pruned.get(lost, "none") == "none"
    with pytest.raises(KeyError, match=lost):
        pruned[lost]
    with pytest.raises(KeyError, match=lost):
        pruned[["walk", lost]]


def test_buckets_without_a_row_are_left_out_of_the_mean(pruned, ngrams, tmp_path):
    buckets, _ = ngrams.of([b"walks"])
    kept = pruned.subwords.kept.tolist()
    rows = [5 + kept.index(bucket) for bucket in buckets.tolist() if bucket in kept]
    assert 0 < len(rows) < len(buckets)
    expected = pruned.vectors[rows].mean(axis=0)
    np.testing.assert_allclose(reloaded(pruned, tmp_path)["walks"], expected, rtol=1e-6)


def test_words_are_near_to_words_alone(every):
    near = every.most_similar("walked", topn=None)
    units = every.vectors[:8] / np.linalg.norm(every.vectors[:8], axis=1, keepdims=True)
    query = every["walked"] / np.linalg.norm(every["walked"])
    np.testing.assert_allclose(near, (units @ query)[: len(near)], rtol=0, atol=1e-5)
    found = every.most_similar("walked", topn=50)
    assert sorted(word for word, _ in found) == sorted(WORDS)
    assert every.most_similar("walk", topn=50)[0][0] != "walk"
    assert every.most_similar_batch(["walked", "sea"], 3)[0] == found[:3]
    by_vector = every.similar_by_vector(every["walked"], 3)
    assert [word for word, _ in by_vector] == [word for word, _ in found[:3]]
    cosine = float(units[1] @ query)
    assert every.similarity("walk", "walked") == pytest.approx(cosine, abs=1e-6)
    assert every.n_similarity(["walk"], ["walked"]) == pytest.approx(cosine, abs=1e-6)


def test_what_is_compared_with_all_rows_is_compared_with_the_words(every, pruned):
    for embedding in (every, pruned):
        vectors = embedding.vectors[:5]
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        distances = 1 - units @ units[1]
        np.testing.assert_allclose(embedding.distances("walk"), distances, atol=1e-5)
        assert len(embedding.most_similar_cosmul("walk", topn=None)) == 5
        nearer = [word for word, far in zip(WORDS, distances, strict=True) if far < distances[4]]
        assert set(embedding.closer_than("walk", "sea")) == {*nearer} - {"walk"}
        assert embedding.rank("walk", "sea") == len({*nearer} - {"walk"}) + 1
        with pytest.raises(KeyError, match="row 6 belongs to n-grams"):
            embedding.rank("walk", 6)


def test_a_smaller_table_keeps_all_ngrams(every, pruned, tmp_path):
    for embedding in (every, pruned):
        few = reloaded(embedding.vectors_for_all(["sea", "walk", "unknown"]), tmp_path)
        assert list(few) == ["sea", "walk"]
        for word in ("sea", "walk", "walks", "walking"):
            expected = embedding[word] if word != "walking" else mean_of_ngrams(embedding, word)
            np.testing.assert_allclose(few[word], expected, rtol=1e-6)
        with pytest.raises(InputError, match="row 6 belongs to n-grams"):
            embedding.vectors_for_all([6])
        with pytest.raises(InputError, match="none of the keys"):
            embedding.vectors_for_all(["unknown"])


def test_words_are_added_behind_the_ngrams(every, tmp_path):
    pytest.importorskip("numba")
    more = reloaded(every.add(["walked"], every[["walked"]]), tmp_path)
    assert list(more) == [*WORDS, "walked"]
    assert more.get_index("walked") == 45
    np.testing.assert_allclose(more["walks"], every["walks"], rtol=1e-6)
    assert more.most_similar("walks", topn=9)[-1][0] in [*WORDS, "walked"]
    assert {word for word, _ in more.most_similar("walks", topn=50)} == {*WORDS, "walked"}


def test_other_extras_are_never_dropped(every):
    every.extras["weights"] = np.ones(45, np.float32)
    for change in (
        lambda: every.vectors_for_all(["sea"]),
        lambda: every.add(["new"], np.ones((1, 6), np.float32)),
    ):
        with pytest.raises(InputError, match="weights"):
            change()
    with pytest.raises(InputError, match="subwords"):
        every.save_shards("shards")


def test_floret_needs_no_words(random, tmp_path):
    rows = random.normal(size=(40, 6)).astype(np.float32)
    ngrams = Ngrams(FLORET, 2, 3, 40, 2, 5)
    embedding = embedding_of(rows, SubwordRows(ngrams, 0, None, True), [])
    embedding = reloaded(embedding, tmp_path)
    buckets, _ = ngrams.of([b"word"])
    np.testing.assert_allclose(embedding["word"], rows[buckets].mean(axis=0), rtol=1e-6)
    assert len(embedding) == 0
    assert embedding.most_similar("word") == []
    pytest.importorskip("numba")
    some = ["word", "other", "words"]
    named = embedding.add(some, embedding[some])
    assert {word for word, _ in named.most_similar("wordy")} == set(some)


def test_a_classifiers_words_are_put_together_when_they_are_looked_up(rows, ngrams, tmp_path):
    classifier = Classifier("softmax", 1, ["a", "b"], np.array([2, 1]), rows[:2])
    embedding = embedding_of(rows, SubwordRows(ngrams, 5, None, False, classifier))
    buckets, _ = ngrams.of([b"walk"])
    expected = rows[[1, *(5 + buckets)]].mean(axis=0)
    np.testing.assert_allclose(embedding["walk"], expected, rtol=1e-6)
    np.testing.assert_allclose(embedding[["walk"]], [expected], rtol=1e-6)
    assert (embedding[1] == rows[1]).all()
    assert embedding.similarity("walk", "walk") == pytest.approx(1)
    for refused in (
        lambda: embedding.most_similar("walk"),
        lambda: embedding.most_similar_cosmul("walk"),
        lambda: embedding.distances("walk"),
        lambda: embedding.rank("walk", "sea"),
        lambda: embedding.to_faiss(),
        lambda: export(embedding, tmp_path / "x.npy", "npy"),
        lambda: embedding.vectors_for_all(["walk"]),
        lambda: embedding.add(["new"], rows[:1]),
    ):
        with pytest.raises(InputError):
            refused()


@pytest.mark.parametrize(("name", "to"), [("x.txt", "glove"), ("x.bin", "word2vec")])
def test_a_classifiers_words_are_exported_as_they_are_looked_up(rows, ngrams, tmp_path, name, to):
    classifier = Classifier("softmax", 1, ["a", "b"], np.array([2, 1]), rows[:2])
    embedding = embedding_of(rows, SubwordRows(ngrams, 5, None, False, classifier))
    with pytest.warns(UserWarning, match="40 rows without a word"):
        export(embedding, tmp_path / name, to)
    with open_table(tmp_path / name) as written:
        assert written.words == WORDS
        assert (written.matrix.take(np.arange(5)) == embedding[WORDS]).all()
    with pytest.warns(UserWarning, match="40 rows without a word"):
        embedding.save_word2vec_format(tmp_path / "y.txt")
    with open_table(tmp_path / "y.txt") as written:
        assert (written.matrix.take(np.arange(5)) == embedding[WORDS]).all()


def test_extras_come_back_as_they_were(ngrams, random):
    some = np.flatnonzero(random.random(40) < 0.3)
    for kept in (np.arange(40), np.array([39]), np.array([], int), some):
        subwords = SubwordRows(ngrams, 5, kept, True)
        read = from_extras(to_extras(subwords), 45, 6)
        assert read.num_buckets == len(kept)
        assert read.kept is None if len(kept) == 40 else read.kept.tolist() == kept.tolist()
        assert (read.ngrams, read.num_words, read.composed) == (ngrams, 5, True)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"kind": "other"}, "kind 'other'"),
        ({"num_words": 46}, "46 words"),
        ({"num_words": -1}, "num_words"),
        ({"num_kept": 41}, "41 of 40 buckets"),
        ({"num_kept": 39}, "no section"),
        ({"num_buckets": 1 << 40}, "num_buckets"),
        ({"min_n": "3"}, "min_n"),
        ({"hash_count": 5}, "hash_count"),
        ({"begin": None}, "begin"),
    ],
)
def test_what_a_file_tells_is_checked(ngrams, change, seen):
    extras = to_extras(SubwordRows(ngrams, 5, None, True))
    facts = json.loads(extras["subwords"].tobytes()) | change
    extras["subwords"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with pytest.raises(FormatError, match=seen):
        from_extras(extras, 45, 6)


def test_damaged_buckets_and_labels_are_refused(ngrams, rows):
    extras = to_extras(SubwordRows(ngrams, 5, np.array([1, 7, 30]), True))
    with pytest.raises(FormatError):
        from_extras(extras | {"subwords.high": np.zeros(3, np.uint8)}, 45, 6)
    with pytest.raises(FormatError):
        from_extras(extras | {"subwords": np.frombuffer(b"[]", np.uint8)}, 45, 6)
    classifier = Classifier("softmax", 1, ["a", "b"], np.array([2, 1]), rows[:2])
    extras = to_extras(SubwordRows(ngrams, 5, None, False, classifier))
    for name, other in (
        ("classifier.labels", np.frombuffer(b"a", np.uint8)),
        ("classifier.labels", np.frombuffer(b"\xff\nb", np.uint8)),
        ("classifier.counts", np.ones(3, np.int64)),
        ("classifier.counts", np.array([-1, 1])),
        ("classifier.counts", np.array([1, 1 << 62])),
        ("classifier.output", np.ones((2, 5), np.float32)),
    ):
        with pytest.raises(FormatError):
            from_extras(extras | {name: other}, 45, 6)
