import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError

ROOT = Path(__file__).resolve().parents[2]


def test_it_reads_like_a_mapping(embedding, decoded, each_engine):
    assert len(embedding) == 700
    assert embedding.vector_size == 9
    np.testing.assert_allclose(embedding["wörd 3"], decoded[3], atol=1e-5)
    np.testing.assert_allclose(embedding[["wörd 3", "wörd 9"]], decoded[[3, 9]], atol=1e-5)
    assert embedding["wörd 3"].dtype == np.float32
    assert embedding[[]].shape == (0, 9)
    assert "wörd 699" in embedding
    assert "wörd 700" not in embedding
    assert None not in embedding
    assert list(embedding) == [f"wörd {i}" for i in range(700)]
    assert embedding.get("none") is None
    assert embedding.get("none", 7) == 7
    np.testing.assert_array_equal(embedding.get("wörd 1"), embedding[1])
    unit = embedding.get_vector("wörd 5", norm=True)
    np.testing.assert_allclose(unit, decoded[5] / np.linalg.norm(decoded[5]), atol=1e-5)
    assert unit.dtype == np.float32
    assert "700 rows" in repr(embedding)
    assert "M=8, K=11" in repr(embedding)


def test_words_and_rows_are_told_apart(embedding):
    assert embedding.key_to_index["wörd 8"] == 8
    assert dict(embedding.key_to_index) == {f"wörd {i}": i for i in range(700)}
    assert "x" not in embedding.key_to_index
    assert len(embedding.key_to_index.items()) == len(embedding.key_to_index.values()) == 700
    assert ("wörd 8", 8) in embedding.key_to_index.items()
    assert list(embedding.key_to_index.values()) == list(range(700))
    assert embedding.index_to_key[4] == "wörd 4"
    assert embedding.index_to_key[-1] == "wörd 699"
    assert embedding.index_to_key[2:4] == ["wörd 2", "wörd 3"]
    assert list(embedding.index_to_key) == list(embedding)
    assert embedding.get_index("wörd 6") == 6


def test_a_row_or_a_default_can_be_asked_for(embedding):
    assert embedding.get_index("wörd 6", 3) == embedding.get_index(6, default=3) == 6
    assert embedding.get_index("foo", -1) == embedding.get_index(700, default=-1) == -1
    assert embedding.has_index_for("wörd 6")
    assert embedding.has_index_for(np.int64(6))
    assert not any(map(embedding.has_index_for, ["foo", 700, -1, None, b"w"]))


def test_as_an_array_it_is_its_vectors(embedding):
    assert (np.asarray(embedding) == embedding.to_numpy()).all()
    assert np.array(embedding, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="makes a new array"):
        np.array(embedding, copy=False)


def test_bytes_are_no_keys(embedding):
    for ask in (
        lambda: embedding[b"ab"],
        lambda: embedding[bytearray(b"ab")],
        lambda: embedding[["wörd 1", b"ab"]],
        lambda: embedding.get_vector(b"ab"),
        lambda: embedding.get_index(b"ab"),
        lambda: embedding.most_similar(b"ab"),
        lambda: embedding.most_similar(["wörd 1"], b"ab"),
        lambda: embedding.most_similar_batch([b"ab"]),
        lambda: embedding.distances(b"ab"),
    ):
        with pytest.raises(KeyError, match=r"b'ab'\)?: not among .* a str as decode\(\) makes"):
            ask()
    assert b"ab" not in embedding


def test_missing_words_are_named(embedding):
    with pytest.raises(KeyError, match="'foo', 'bar': not among the 700 keys"):
        embedding[["wörd 1", "foo", "bar"]]
    for ask in (
        lambda: embedding["foo"],
        lambda: embedding.get_vector("foo"),
        lambda: embedding.similarity("foo", "wörd 1"),
        lambda: embedding.most_similar("foo"),
        lambda: embedding.most_similar_batch(["wörd 1", "foo"]),
        lambda: embedding.get_index("foo"),
    ):
        with pytest.raises(KeyError, match="'foo': not among"):
            ask()
    with pytest.raises(KeyError, match=r"700: not among .* from 0 to 699"):
        embedding[700]
    with pytest.raises(KeyError, match="-1: not among"):
        embedding[-1]


def test_without_words_rows_have_numbers_for_keys(table, decoded):
    embedding = CompressedEmbedding.from_codes(*table[:2])
    assert not embedding.has_words
    assert len(embedding) == 700
    assert list(embedding)[:3] == [0, 1, 2]
    assert embedding.index_to_key[5] == 5
    assert embedding.key_to_index[5] == 5
    assert 699 in embedding
    assert 700 not in embedding
    assert "wörd 1" not in embedding
    nearest = embedding.most_similar(3, topn=2)
    assert all(isinstance(key, int) for key, _ in nearest)
    assert embedding.doesnt_match([1, 2, 3]) in (1, 2, 3)


def test_rows_without_a_word_are_kept_and_reached_by_number(table, decoded):
    codes, codebook, words = table
    words = [None, *words[1:300]]
    embedding = CompressedEmbedding.from_codes(codes, codebook, words)
    assert len(embedding) == 299
    np.testing.assert_allclose(embedding[699], decoded[699], atol=1e-5)
    np.testing.assert_allclose(embedding[0], decoded[0], atol=1e-5)
    assert embedding.index_to_key[0] == 0
    assert embedding.index_to_key[699] == 699
    found = embedding.most_similar("wörd 1", topn=1_000)
    assert len(found) == 298
    assert all(isinstance(key, str) for key, _ in found)


def test_of_duplicates_the_first_row_wins_and_it_is_said(table, decoded):
    codes, codebook, words = table
    words = [*words[:3], words[1], "", ""]
    with pytest.warns(UserWarning, match="2 rows repeat the word of an earlier row"):
        embedding = CompressedEmbedding.from_codes(codes, codebook, words)
    assert list(embedding) == [*words[:3], ""]
    assert embedding.get_index(words[1]) == 1
    assert embedding.get_index("") == 4
    np.testing.assert_allclose(embedding[3], decoded[3], atol=1e-5)


def check_nearest(embedding, found, decoded, query, left_out):
    """Rows of nearly the same score may change places."""
    units = decoded / np.linalg.norm(decoded, axis=1, keepdims=True)
    scores = units @ (query / np.linalg.norm(query))
    scores[left_out] = -np.inf
    best = np.sort(scores)[::-1][:10]
    rows = [embedding.get_index(word) for word, _ in found]
    assert len(set(rows)) == 10
    np.testing.assert_allclose([score for _, score in found], best, atol=1e-6)
    np.testing.assert_allclose(scores[rows], best, atol=1e-6)


def test_nearest_words_are_those_of_a_brute_force_search(embedding, decoded, each_engine):
    for row in range(0, 700, 7):
        found = embedding.most_similar(f"wörd {row}")
        check_nearest(embedding, found, decoded, decoded[row], [row])


def test_sums_of_words_vectors_and_weights_can_be_asked_for(embedding, decoded):
    units = decoded / np.linalg.norm(decoded, axis=1, keepdims=True)
    vector = np.arange(9.0)
    query = units[1] + 2 * units[2] + 0.5 * vector - units[3]
    found = embedding.most_similar(["wörd 1", ("wörd 2", 2), (vector, 0.5)], "wörd 3")
    check_nearest(embedding, found, decoded, query, [1, 2, 3])
    found = embedding.similar_by_vector(vector)
    check_nearest(embedding, found, decoded, vector, [])
    assert embedding.most_similar_batch(["wörd 4", vector]) == [
        embedding.most_similar("wörd 4"), found
    ]  # fmt: skip


def test_fewer_rows_or_results_can_be_asked_for(embedding, decoded):
    found = embedding.most_similar("wörd 600", restrict_vocab=50, topn=100)
    assert {embedding.get_index(word) for word, _ in found} == set(range(50))
    assert embedding.most_similar("wörd 1", topn=0) == []
    assert embedding.most_similar("wörd 1", restrict_vocab=0) == embedding.most_similar("wörd 1")
    scores = embedding.most_similar("wörd 1", topn=None)
    assert scores.shape == (700,)
    assert scores[1] == pytest.approx(1.0, abs=1e-6)


def test_similarity_is_the_cosine(embedding, decoded):
    expected = decoded[1] @ decoded[2] / np.linalg.norm(decoded[1]) / np.linalg.norm(decoded[2])
    assert embedding.similarity("wörd 1", "wörd 2") == pytest.approx(expected, abs=1e-6)
    assert embedding.distance("wörd 1", "wörd 2") == pytest.approx(1 - expected, abs=1e-6)


def test_what_cannot_be_compared_is_refused(embedding):
    with pytest.raises(InputError, match="nothing was given to compare with"):
        embedding.most_similar()
    with pytest.raises(InputError, match=r"type float64 and shape \(3,\)"):
        embedding.similar_by_vector(np.ones(3))
    with pytest.raises(InputError, match="not finite"):
        embedding.similar_by_vector(np.full(9, np.nan))
    for query in ([["wörd 1"]], [("wörd 1", "wörd 2")], [("wörd 1",)], [("wörd 1", np.nan)]):
        with pytest.raises(InputError, match="to compare with"):
            embedding.most_similar(query)
    with pytest.raises(InputError, match="restrict_vocab is -5"):
        embedding.most_similar("wörd 1", restrict_vocab=-5)
    with pytest.raises(InputError, match="none of"):
        embedding.doesnt_match(["x"])
    with pytest.warns(UserWarning, match=r"\['x'\] are not in the table"):
        assert embedding.doesnt_match(["x", "wörd 1"]) == "wörd 1"


def test_a_selection_is_a_table_of_its_own(embedding, decoded):
    part = embedding.vectors_for_all(["wörd 9", "none", "wörd 2", "wörd 9", 5])
    assert list(part) == ["wörd 9", "wörd 2"]
    np.testing.assert_allclose(part.to_numpy(), decoded[[9, 2, 5]], atol=1e-5)
    with pytest.raises(InputError, match="none of the keys"):
        embedding.vectors_for_all(["none"])


def test_rows_are_added_with_the_same_codebook(embedding, decoded, random):
    new = decoded[:40] + 0.01 * random.normal(size=(40, 9))
    larger = embedding.add([f"new {i}" for i in range(40)], new)
    assert len(larger) == 740
    assert len(embedding) == 700
    assert larger["wörd 3"].tolist() == embedding["wörd 3"].tolist()
    found = larger[[f"new {i}" for i in range(40)]]
    error = np.linalg.norm(found - new, axis=1)
    assert error.mean() < 0.25 * np.linalg.norm(new, axis=1).mean()


def test_rows_that_cannot_be_added_are_refused(embedding, table):
    vectors = np.ones((2, 9), np.float32)
    for words, rows, message in [
        (["a", "wörd 1"], vectors, "'wörd 1' is already in the table"),
        (["a"], vectors, "wanted 2 words"),
        (None, vectors, "wanted 2 words"),
        (["a", "b"], vectors[:, :5], "new rows of 5 columns; wanted 9"),
        (["a", "b"], vectors * np.nan, "nan"),
    ]:
        with pytest.raises(InputError, match=message):
            embedding.add(words, rows)
    plain = CompressedEmbedding.from_codes(*table[:2])
    with pytest.raises(InputError, match="the table has no words"):
        plain.add(["a", "b"], vectors)
    assert len(plain.add(None, vectors)) == 702


def test_gensim_finds_the_same(embedding):
    pytest.importorskip("gensim")
    vectors = embedding.to_gensim()
    assert vectors.index_to_key == list(embedding)
    assert (vectors.vectors == embedding.to_numpy()).all()
    for positive, negative in [
        (["wörd 1"], None),
        (["wörd 1", ("wörd 2", 0.3)], ["wörd 9"]),
        ([np.arange(9, dtype=np.float32), "wörd 4"], [("wörd 7", 2.0)]),
    ]:
        theirs = vectors.most_similar(positive, negative, topn=20)
        ours = embedding.most_similar(positive, negative, topn=20)
        assert [word for word, _ in ours] == [word for word, _ in theirs]
        np.testing.assert_allclose(
            [score for _, score in ours], [score for _, score in theirs], atol=1e-5
        )
    for restrict in (30, 5_000):
        theirs = vectors.most_similar("wörd 3", restrict_vocab=restrict)
        ours = embedding.most_similar("wörd 3", restrict_vocab=restrict)
        assert [word for word, _ in ours] == [word for word, _ in theirs]
    words = ["wörd 1", "wörd 5", "wörd 99", "wörd 3"]
    assert embedding.doesnt_match(words) == vectors.doesnt_match(words)
    assert embedding.similarity(*words[:2]) == pytest.approx(vectors.similarity(*words[:2]))
    theirs = vectors.vectors_for_all([*words, "none"])
    ours = embedding.vectors_for_all([*words, "none"])
    assert set(ours) == set(theirs.index_to_key)
    np.testing.assert_allclose(ours["wörd 5"], theirs["wörd 5"], atol=1e-6)


def test_rows_without_a_word_do_not_take_the_names_of_words_in_gensim(table):
    pytest.importorskip("gensim")
    codes, codebook, _ = table
    embedding = CompressedEmbedding.from_codes(codes, codebook, ["a", "3", "b", None])
    vectors = embedding.to_gensim()
    assert vectors.index_to_key == ["a", "3", "b"]
    assert (vectors["3"] == embedding[1]).all()


def test_a_file_is_mapped_as_gensims_are(embedding, tmp_path):
    embedding.save(tmp_path / "x.nnc")
    for settings in ({}, {"mmap": "r"}, {"mmap": None, "copy": True}):
        loaded = CompressedEmbedding.load(tmp_path / "x.nnc", **settings)
        assert (loaded.to_numpy() == embedding.to_numpy()).all()
    assert list(CompressedEmbedding.load(tmp_path / "x.nnc", "r")) == list(embedding)
    for settings, message in [
        ({"mmap": "r+"}, "mmap='r\\+'; wanted None or 'r'"),
        ({"mmap": "r", "copy": True}, "a copy is not mapped"),
    ]:
        with pytest.raises(InputError, match=message):
            CompressedEmbedding.load(tmp_path / "x.nnc", **settings)


def test_it_is_copied_and_pickled(embedding):
    for other in (copy.deepcopy(embedding), pickle.loads(pickle.dumps(embedding))):
        assert list(other) == list(embedding)
        assert (other.to_numpy() == embedding.to_numpy()).all()
        assert other.most_similar("wörd 1") == embedding.most_similar("wörd 1")


def test_new_rows_of_a_table_of_directions_are_divided_by_their_lengths(embedding, decoded):
    embedding.provenance |= {"objective": "cosine", "loss": 1.0, "recipe": "fast"}
    units = decoded[:20] / np.linalg.norm(decoded[:20], axis=1, keepdims=True)
    names = [f"n{i}" for i in range(20)]
    one, other = (embedding.add(np.array(names), rows) for rows in (units, 7.0 * units))
    assert (one[names] == other[names]).all()
    # What was measured on other rows is not said of these.
    assert one.provenance == {"objective": "cosine", "recipe": "fast"}


def test_a_forked_process_looks_rows_up(random):
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    codes = random.integers(16, size=(10_000, 8))
    embedding = CompressedEmbedding.from_codes(codes, random.normal(size=(128, 5)))
    script = """
import os, signal, numpy as np
from nncompress import CompressedEmbedding
from nncompress.embedding.engine import engine
codes = np.random.default_rng(0).integers(16, size=(10_000, 8))
emb = CompressedEmbedding.from_codes(codes, np.ones((128, 5), np.float32))
engine.use("numba")
emb.to_numpy()
if os.fork() == 0:
    signal.alarm(60)
    os._exit(0 if (emb.to_numpy() == 8).all() else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, check=False)
    assert result.returncode == 0
    assert len(embedding) == 10_000


def test_numba_may_take_over_while_many_threads_look_up(random, monkeypatch):
    from nncompress.embedding import engine as module

    monkeypatch.setattr(module, "_PATIENCE", 1e-4)
    codes = random.integers(16, size=(300, 8))
    embedding = CompressedEmbedding.from_codes(codes, random.normal(size=(128, 5)))
    expected = embedding.to_numpy()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(30):
            module.engine.use("auto")
            found = list(pool.map(embedding.__getitem__, range(300)))
            assert (np.array(found) == expected).all()


def test_rows_that_rounding_alone_keeps_from_zero_have_no_direction(each_engine):
    codebook = np.array([[1e8], [1.0], [-1e8], [2.0], [0.0], [1e-8]], np.float32)
    embedding = CompressedEmbedding.from_codes(np.array([[0, 0, 1], [1, 1, 0]]), codebook)
    assert embedding.most_similar(np.ones(1), topn=None).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("key", [None, 1.5])
def test_what_is_no_key_at_all_is_named(embedding, key):
    with pytest.raises(KeyError, match=f"{key}: not among the 700 keys of this table; wanted a "):
        embedding[key]
