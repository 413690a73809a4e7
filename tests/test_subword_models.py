"""fastText's and gensim's models from the file to the vectors of words that are in no table."""

import json

import numpy as np
import pytest

from nncompress import CompressedEmbedding, FormatError, InputError, compress
from nncompress.sources.tables import open_table
from tests.sources.fasttext_files import small_model

WORDS = [b"</s>", *(b"word%d" % i for i in range(700))]


@pytest.fixture
def path(tmp_path):
    return written(tmp_path)


def written(folder, **options):
    """Writes a model of 701 words and 500 buckets."""
    data, _, _ = small_model(**{"words": WORDS, "buckets": 500, "dim": 24} | options)
    (folder / "model.bin").write_bytes(data)
    return folder / "model.bin"


def test_a_command_keeps_words_and_ngrams(path, tmp_path, ask):
    out = tmp_path / "model.nnc"
    facts = json.loads(ask("compress", path, out, "--target-cosine", "0.999", "--json"))
    assert (facts["ngrams"], facts["buckets"], facts["buckets_left_out"]) == ("fasttext", 500, 0)
    assert (facts["rows"], facts["words"]) == (1201, 701)
    embedding = CompressedEmbedding.load(out)
    with open_table(path) as original:
        subwords = original.subwords
        rows = subwords.rows_of(subwords.ngrams.of([b"unseen"])[0])
        expected = original.matrix.take(rows).mean(axis=0)
    assert embedding["unseen"] @ expected > 0.97 * expected @ expected
    assert "word" in ask("similar", out, "word", "--json")
    assert "buckets_left_out" in ask("info", out)


@pytest.mark.parametrize("labels", [(), (b"__label__a", b"__label__b")])
def test_a_pruned_table_is_compared_with_the_rows_that_it_has(tmp_path, ask, labels):
    path, out = written(tmp_path, labels=labels), tmp_path / "model.nnc"
    facts = json.loads(ask("compress", path, out, "--target-cosine", "0.9", "--prune", "--json"))
    measured = json.loads(ask("evaluate", path, out, "--json"))
    assert measured["mean_distance"] == pytest.approx(facts["mean_distance"], rel=1e-5)
    path.write_bytes(small_model(words=WORDS, buckets=499, dim=24, labels=labels)[0])
    with pytest.raises(InputError, match="wanted at least 701 and"):
        ask("evaluate", path, out)


def test_what_pruning_leaves_out_is_told(path, tmp_path):
    text, lines = tmp_path / "text.txt", []
    text.write_text("unseen")
    alone = compress(path, cosine=0.9, prune=True, report=lines.append)
    kept = alone.subwords.num_buckets
    assert kept < 500
    assert f"{500 - kept} buckets that no word uses are left out" in lines[0]
    more = compress(path, cosine=0.9, prune=True, corpus=text, report=None)
    assert kept < more.subwords.num_buckets < 500
    buckets, _ = more.subwords.ngrams.of([b"unseen"])
    assert len(alone.subwords.rows_of(buckets)) < len(more.subwords.rows_of(buckets))
    assert len(more.subwords.rows_of(buckets)) == len(buckets)


def test_a_work_directory_changes_nothing_and_is_of_one_text(path, tmp_path):
    out, work, text = (tmp_path / name for name in ("model.nnc", "work", "text.txt"))
    text.write_text("other words")
    options = {"cosine": 0.9, "prune": True, "report": None}
    compress(path, out, work=work, corpus=text, **options)
    first = out.read_bytes()
    assert not work.exists()
    compress(path, out, corpus=text, **options)
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"objective": "cosine"}, "so their lengths matter"),
        ({"words": ["a"]}, "words were given"),
        ({"tensor": "x"}, "no named tensors"),
        ({"limit": 0}, "the limit on rows is 0"),
    ],
)
def test_mistakes_are_told_in_a_line_and_nothing_is_written(path, tmp_path, options, seen):
    with pytest.raises(InputError, match=seen) as error:
        compress(path, tmp_path / "model.nnc", report=None, **options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_cut_leaves_nothing_written(path, tmp_path, ask):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"wanted a complete fastText model \(\.bin\)"):
        ask("compress", path, tmp_path / "model.nnc")
    assert list(tmp_path.iterdir()) == [path]


def test_a_large_model_is_told_to_be_pruned(path, tmp_path, monkeypatch):
    monkeypatch.setattr("nncompress.opening.is_large", lambda num_rows, dim: num_rows > 400)
    with pytest.raises(InputError, match=r"1,201 rows of words and n-grams.*--prune"):
        compress(path, tmp_path / "model.nnc", report=None)


def test_a_dry_run_counts_what_words_without_a_row_need(path, tmp_path, ask):
    out = tmp_path / "model.nnc"
    options = ["--target-cosine", "0.999", "--prune", "--json"]
    expected = json.loads(ask("compress", path, out, *options, "--dry-run"))["file_bytes"]
    ask("compress", path, out, *options)
    assert expected == pytest.approx(out.stat().st_size, rel=0.5)


@pytest.fixture
def gensims():
    fasttext = pytest.importorskip("gensim.models.fasttext")
    random = np.random.default_rng(3)
    texts = [[f"word{i}" for i in random.integers(700, size=9)] for _ in range(400)]
    return fasttext.FastText(texts, vector_size=24, min_count=1, bucket=500, epochs=1)


def test_gensims_models_and_vectors_keep_their_ngrams(gensims, tmp_path):
    for given in (gensims, gensims.wv):
        embedding = compress(given, tmp_path / "model.nnc", cosine=0.999, report=None)
        assert list(embedding) == gensims.wv.index_to_key
        for word in ("word7", "words", "unseen", "ab"):
            expected = gensims.wv[word]
            assert embedding[word] @ expected > 0.97 * expected @ expected


def test_ngrams_go_back_to_gensim(gensims, tmp_path):
    for prune in (False, True):
        embedding = compress(gensims, cosine=0.9, prune=prune, report=None)
        keyed = embedding.to_gensim()
        keyed.save(str(tmp_path / "saved.kv"))
        for one in (keyed, type(keyed).load(str(tmp_path / "saved.kv"))):
            vectors = embedding.vectors[: len(embedding)]
            np.testing.assert_allclose(one.vectors, vectors, rtol=1e-5, atol=1e-5)
            if not prune:
                np.testing.assert_allclose(one["unseen"], embedding["unseen"], rtol=1e-4)


def test_other_models_of_gensim_are_taken_by_their_vectors():
    models = pytest.importorskip("gensim.models")
    texts = [[f"w{i}", f"w{i + 1}"] for i in range(900)]
    model = models.Word2Vec(texts, vector_size=24, min_count=1, epochs=1)
    embedding = compress(model, cosine=0.9, report=None)
    assert list(embedding) == model.wv.index_to_key
    assert embedding.subwords is None


def test_what_gensim_has_no_place_for_is_told(tmp_path):
    pytest.importorskip("gensim")
    path = written(tmp_path, labels=(b"__label__a", b"__label__b"))
    embedding = compress(path, cosine=0.9, report=None)
    with pytest.warns(UserWarning, match="the classifier's labels"):
        keyed = embedding.to_gensim()
    np.testing.assert_allclose(keyed["word7"], embedding["word7"], rtol=1e-4)


@pytest.mark.parametrize("name", ["rows.npy", "rows.txt"])
def test_nothing_can_be_pruned_of_other_tables_however_large(random, tmp_path, monkeypatch, name):
    rows = random.normal(size=(50, 4)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.savetxt(tmp_path / "rows.txt", np.column_stack([np.arange(50), rows]))
    for most in (400, 10):
        monkeypatch.setattr("nncompress.opening.is_large", lambda count, dim, m=most: count > m)
        with pytest.raises(InputError, match="has no rows for n-grams"):
            compress(tmp_path / name, tmp_path / "x.nnc", prune=True, report=None)


def test_word_pairs_are_not_asked_of_a_classifiers_rows(tmp_path, monkeypatch):
    path = written(tmp_path, labels=(b"__label__a", b"__label__b"))
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("word1\tword2\t3\nword3\tword4\t1\n")
    monkeypatch.setattr("nncompress.compressing.make_table", None)  # nothing is computed
    with pytest.raises(InputError, match="no row is a word's vector"):
        compress(path, pairs=[pairs], report=None)


def test_files_of_word_pairs_are_not_written_over(path, tmp_path):
    pairs = tmp_path / "pairs.nnc"
    pairs.write_text("word1\tword2\t3\nword3\tword4\t1\n")
    with pytest.raises(InputError):
        compress(path, pairs, pairs=[pairs], report=None)
    with pytest.raises(InputError, match="wanted a list of files"):
        compress(path, pairs=str(pairs), report=None)
    assert pairs.read_text().startswith("word1")
