import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nncompress import CompressedEmbedding, InputError
from nncompress.embedding.word_vectors_file import write_rows

# gensim leaves files to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def load(path, **settings):
    models = pytest.importorskip("gensim.models")
    return models.KeyedVectors.load_word2vec_format(str(path), **settings)


@given(
    npst.arrays(
        np.float32,
        (3, 4),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
)
def test_numbers_have_the_fewest_digits_that_they_are_read_back_from(rows):
    file = io.BytesIO()
    write_rows(file, "", rows, np.arange(3), ["a", "b", "c"], binary=False)
    lines = file.getvalue().decode().splitlines()
    texts = [text for line in lines for text in line.split(" ")[1:]]
    read = np.array([np.float32(text) for text in texts]).reshape(rows.shape)
    np.testing.assert_array_equal(read, rows)
    assert (np.signbit(read) == np.signbit(rows)).all()
    for text, number in zip(texts, rows.ravel(), strict=True):
        digits = len(text.lstrip("-").split("e")[0].replace(".", "").strip("0"))
        if digits > 1:
            assert np.float32(f"{number:.{digits - 2}e}") != number


def test_digits_do_not_depend_on_how_numpy_prints():
    row = np.array([[0.1]], np.float32) * np.float32(1.37)
    file = io.BytesIO()
    with np.printoptions(legacy="1.13", precision=3):
        write_rows(file, "", row, np.arange(1), ["a"], binary=False)
    assert np.float32(file.getvalue().split()[1]) == row


@pytest.mark.parametrize(
    "settings", [{}, {"write_header": False}, {"prefix": "x_"}, {"total_vec": 100}]
)
def test_texts_are_gensims_to_the_byte(keyed, in_gensim, tmp_path, settings):
    keyed.save_word2vec_format(tmp_path / "ours.txt", **settings)
    in_gensim.save_word2vec_format(str(tmp_path / "theirs.txt"), **settings)
    assert (tmp_path / "ours.txt").read_bytes() == (tmp_path / "theirs.txt").read_bytes()


def test_gensim_reads_binary_files(keyed, tmp_path):
    keyed.save_word2vec_format(tmp_path / "x.bin", binary=True)
    loaded = load(tmp_path / "x.bin", binary=True)
    assert loaded.index_to_key == list(keyed)
    assert (loaded.vectors == keyed.to_numpy()).all()


def test_rows_are_sorted_by_an_attribute_as_gensim_does(keyed, in_gensim, tmp_path, random):
    counts = random.integers(9, size=60)
    keyed.extras |= {"count": counts, "other": counts % 4}
    for word, count in zip(keyed, counts.tolist(), strict=True):
        in_gensim.set_vecattr(word, "count", count)
        in_gensim.set_vecattr(word, "other", count % 4)
    for settings in ({}, {"sort_attr": "other"}):
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        keyed.save_word2vec_format(ours, tmp_path / "our vocabulary", **settings)
        in_gensim.save_word2vec_format(str(theirs), str(tmp_path / "their words"), **settings)
        assert ours.read_bytes() == theirs.read_bytes()
        words = (tmp_path / "our vocabulary").read_bytes()
        assert words == (tmp_path / "their words").read_bytes()


def test_rows_are_added_to_a_file(keyed, tmp_path):
    path = tmp_path / "x.txt"
    part = keyed.vectors_for_all(["w1", "w2"])
    part.save_word2vec_format(path, total_vec=4, append=True)
    part.save_word2vec_format(path, write_header=False, prefix="n", append=True)
    loaded = load(path)
    assert loaded.index_to_key == ["w1", "w2", "nw1", "nw2"]
    assert (loaded["nw2"] == keyed["w2"]).all()


def test_without_words_rows_have_their_numbers_and_rows_without_one_are_left_out(keyed, tmp_path):
    CompressedEmbedding.of_table(keyed.table, None).save_word2vec_format(tmp_path / "x.txt")
    assert load(tmp_path / "x.txt").index_to_key == [str(row) for row in range(60)]
    some = CompressedEmbedding.of_table(keyed.table, ["a", None, "b"])
    some.extras["count"] = np.arange(60)
    with pytest.warns(UserWarning, match="58 rows without a word are left out") as seen:
        some.save_word2vec_format(tmp_path / "x.txt")
    assert seen[0].filename == __file__
    assert load(tmp_path / "x.txt").index_to_key == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("x.txt.gz", {}, r"would not be compressed, though its name says so; leave out \.gz"),
        ("x.txt", {"prefix": "a b"}, "the word 'a bw0' has a character"),
        ("x.txt", {"prefix": "\n", "write_header": False}, "has a character that glove cannot"),
        ("x.txt", {"total_vec": -1}, "total_vec is -1"),
        ("x.txt", {"total_vec": "60"}, "total_vec is '60'"),
        ("x.txt", {"sort_attr": "none"}, r"no 'none' beside its rows; set emb\.extras"),
        ("x.txt", {"fvocab": "words"}, r"no 'count' beside its rows; set emb\.extras"),
        ("x.txt", {"sort_attr": "pairs"}, r"'pairs' has type float64 and shape \(60, 2\)"),
        ("old.txt", {"append": True}, "wanted write_header=False too"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_changes(
    keyed, tmp_path, monkeypatch, name, settings, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.txt").write_text("old\n")
    keyed.extras["pairs"] = np.zeros((60, 2))
    with pytest.raises(InputError, match=message):
        keyed.save_word2vec_format(name, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]
    assert (tmp_path / "old.txt").read_text() == "old\n"


def test_words_and_rows_are_two_files(keyed, tmp_path):
    keyed.extras["count"] = np.arange(60)
    with pytest.raises(InputError, match=r"fvocab is .*, the file for the rows"):
        keyed.save_word2vec_format(tmp_path / "x.txt", tmp_path / "x.txt")
