import gzip
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.errors import InputError
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.frequencies import has_frequencies, read_frequencies, table_frequencies
from nncompress.sources.tables import SourceTable
from nncompress.sources.tokenizer import tokenizer_of_table


def table_of(words, num_rows=None):
    num_rows = len(words) if num_rows is None else num_rows
    return SourceTable(EmbeddingMatrix(np.ones((num_rows, 2), np.float32)), words)


def test_words_and_counts_are_read_as_people_write_them(tmp_path):
    text = "the\t12\nNew York\t3\nin spite of 4\n\n  \nof   2.5e1\r\né\t0\n"
    counts = {"the": 12, "New York": 3, "in spite of": 4, "of": 25, "é": 0}
    (tmp_path / "f.txt").write_text("\ufeff" + text, newline="")
    (tmp_path / "f.gz").write_bytes(gzip.compress(text.encode()))
    assert read_frequencies(tmp_path / "f.txt") == read_frequencies(tmp_path / "f.gz") == counts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 3\nof\n", r"f.txt, line 2: 'of'; wanted a word and its count"),
        ("the 3\n12\n", r"line 2: '12'; wanted a word"),
        ("the 3\n\t12\n", r"line 2: .*; wanted a word"),
        ("word count\n", r"line 1: the count 'count' is not a number; wanted"),
        ("the 3\n\nof -1\n", r"line 3: the count is -1; wanted 0 or more"),
        ("the nan\n", r"line 1: the count is nan"),
        ("the 1e999\n", r"line 1: the count is 1e999"),
        ("the 3\nof 2\nthe\t1\n", r"line 3: 'the' is repeated; wanted one count"),
        ("\n", r"f.txt is empty; wanted a word and its count"),
        (b"the 3\n\xff 4\n", r"line 2: invalid UTF-8"),
    ],
)
def test_lines_that_say_something_else_are_named(tmp_path, text, message):
    (tmp_path / "f.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as raised:
        read_frequencies(tmp_path / "f.txt")
    assert "\n" not in str(raised.value)


def test_a_row_counts_by_its_word_and_one_more_than_nothing():
    words = ["a", "b", None, "a", "c"]
    found = table_frequencies(table_of(words, 6), {"a": 6, "c": 2, "zz": 2}, None)
    smoothed = np.array([6, 0, 0, 0, 2, 0]) + 2  # the smallest count stands for one
    np.testing.assert_allclose(found.shares, smoothed / smoothed.sum())
    roots = np.sqrt(smoothed)
    np.testing.assert_allclose(found.weights, roots / roots.mean())
    assert (found.matched, found.known) == (2, 0.8)
    assert "2 of 6 rows matched, with 80.0%" in str(found)


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(0, 10**9), min_size=1, max_size=9).filter(any),
    unit=st.floats(1e-200, 1e200),
)
def test_shares_do_as_well_as_counts(counts, unit):
    words = [f"w{i}" for i in range(len(counts))]
    table = table_of([*words, "other"])
    of_counts, of_shares = (
        table_frequencies(table, dict(zip(words, numbers, strict=True)), None)
        for numbers in (counts, [unit * count for count in counts])
    )
    np.testing.assert_allclose(of_counts.weights, of_shares.weights, rtol=1e-9)
    assert of_shares.weights.mean() == pytest.approx(1)
    assert (
        np.argsort(of_counts.weights[:-1], kind="stable") == np.argsort(counts, kind="stable")
    ).all()
    assert of_counts.known == 1


def test_what_cannot_be_matched_is_refused_and_what_is_hardly_matched_is_told():
    table = table_of(["a", "b"])
    with pytest.raises(InputError, match="the mapping of frequencies has no count above 0 for a"):
        table_frequencies(table, {"A": 5}, None)
    with pytest.raises(InputError, match="no count above 0"):
        table_frequencies(table, {"a": 0}, None)
    for none in (None, [None, None]):
        without = SourceTable(table.matrix, none)
        with pytest.raises(InputError, match=r"has no words .*--words.*--weights"):
            table_frequencies(without, {"a": 5}, None)
    with pytest.warns(UserWarning, match="20.0% of what the mapping of frequencies counts are"):
        table_frequencies(table, {"a": 1, "A": 4}, None)
    for wrong in ({"a": -1}, {"a": "x"}, {3: 1}, {"a": None}, {"a": float("inf")}):
        with pytest.raises(InputError, match=r"the mapping of frequencies has .* for"):
            table_frequencies(table, wrong, None)


def test_a_text_counts_as_its_counts_do(tmp_path, random):
    words = [f"w{i}" for i in range(20)]
    text = random.choice([*words[:15], "x"], size=500)
    (tmp_path / "text").write_text(" ".join(text) + "\n")
    table = table_of(words)
    counted = table_frequencies(table, None, tmp_path / "text")
    given_ = table_frequencies(table, Counter(text.tolist()), None)
    np.testing.assert_allclose(counted.counts, given_.counts, rtol=1e-12)
    assert (counted.matched, counted.known) == (given_.matched, pytest.approx(given_.known))
    assert counted.matched == 15


def test_one_source_of_frequencies_is_enough_unless_a_text_has_another_use():
    assert has_frequencies({"a": 1}, None)
    assert has_frequencies(None, "text")
    assert has_frequencies({"a": 1}, "text", prune=True)
    assert not has_frequencies(None, None)
    with pytest.raises(InputError, match="were both given; wanted only one of them"):
        has_frequencies({"a": 1}, "text")


def test_the_tokens_of_a_model_are_counted_by_its_own_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="does not say how text is split into them; wanted a tok"):
        tokenizer_of_table(tmp_path, None)
    model = {"type": "WordLevel", "vocab": {"?": 0, "a": 1, "##b": 2}, "unk_token": "?"}
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({"version": "1.0", "model": model}))
    (tmp_path / "text").write_text("a\na\nx\n")
    for source, words in ((tmp_path, None), (tmp_path / "model.safetensors", None), ("x", file)):
        tokenizer = tokenizer_of_table(source, words)
        found = table_frequencies(table_of(["?", "a", "##b"]), None, tmp_path / "text", tokenizer)
        np.testing.assert_allclose(found.counts, [2 / 3, 1, 1 / 3])
    for source, words in ((np.ones((2, 2)), None), (tmp_path, ["a", "b"]), ("m.npy", None)):
        assert tokenizer_of_table(source, words) is None
    file.write_text("{}")
    with pytest.raises(InputError, match="is not a file of the library tokenizers"):
        tokenizer_of_table(tmp_path, None)
