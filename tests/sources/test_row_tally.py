import numpy as np
import pytest

from nncompress.sources.fasttext_text import EOS, word_ngram_buckets
from nncompress.sources.ngrams import FASTTEXT, FLORET, Ngrams
from nncompress.sources.row_tally import RowTally
from nncompress.sources.subword_rows import Classifier, SubwordRows

WORDS = ["cat", "dog", "été"]
COUNTS = {b"cat": 6.0, b"cats": 4.0, "été".encode(): 2.0, b"dogs": 1.0}


def by_hand(subwords, words, counts):
    """Returns how often rows are used, word by word."""
    expected = np.zeros(len(words) + subwords.num_buckets)
    for word, count in counts.items():
        own = [words.index(word.decode())] if word.decode() in words else []
        if own and subwords.composed:
            expected[own] += count
            continue
        buckets, _ = subwords.ngrams.of([word])
        parts = 1 if subwords.classifier else (len(own) + len(buckets)) ** 2
        rows = [*own, *(row for bucket in buckets for row in subwords.rows_of(np.array([bucket])))]
        np.add.at(expected, rows, count / parts)
    return expected


@pytest.mark.parametrize("kept", [None, np.arange(0, 50, 3)])
@pytest.mark.parametrize("composed", [True, False])
@pytest.mark.parametrize("kind", [FASTTEXT, FLORET])
def test_words_without_a_row_use_those_of_their_ngrams(kind, composed, kept):
    words = WORDS if kind == FASTTEXT else []
    ngrams = Ngrams(kind, 2, 4, 50, hash_count=2)
    subwords = SubwordRows(ngrams, len(words), kept, composed)
    tally = RowTally(words, len(words) + subwords.num_buckets, subwords)
    assert tally.has_words
    tally.add(COUNTS)
    np.testing.assert_allclose(tally.counts, by_hand(subwords, words, COUNTS), rtol=1e-12)
    assert tally.known == tally.total == 13


def test_a_classifier_uses_the_rows_of_words_and_of_word_ngrams_line_by_line(tmp_path):
    ngrams = Ngrams(FASTTEXT, 0, 0, 40)
    classifier = Classifier("softmax", 2, ["a"], np.array([1]), np.zeros((1, 2), np.float32))
    words = ["</s>", *WORDS]
    subwords = SubwordRows(ngrams, len(words), None, False, classifier)
    (tmp_path / "text").write_text("__label__a cat dog\ndog cat bird\n")
    tally = RowTally(words, len(words) + 40, subwords)
    tally.add_text(tmp_path / "text")
    expected = np.zeros(44)
    expected[:3] = 2
    for line in ([b"cat", b"dog", EOS], [b"dog", b"cat", b"bird", EOS]):
        np.add.at(expected, 4 + word_ngram_buckets(line, 2, 40), 1)
    np.testing.assert_array_equal(tally.counts, expected)
    assert (tally.known, tally.total) == (6, 7)


def test_of_rows_with_the_same_word_the_first_counts_and_others_are_no_use():
    tally = RowTally(["a", "b", "a", None], 6)
    tally.add({b"a": 2, b"c": 3})
    assert tally.counts.tolist() == [2, 0, 0, 0, 0, 0]
    assert (tally.known, tally.total) == (2, 5)
    assert not RowTally([None], 1).has_words
