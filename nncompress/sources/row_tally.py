"""Counts of how often words use each row of a table: their own rows or those of their n-grams."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from nncompress.sources.corpus import WHAT, words_of
from nncompress.sources.fasttext_text import LABEL, tokens_of, word_ngram_buckets
from nncompress.sources.streams import open_stream
from nncompress.sources.subword_rows import SubwordRows

_LINES = 4_096


class RowTally:
    """Adds up how often rows are used.

    A word that has a row uses it. In a table with rows for n-grams, a word without a row uses the
    rows of its n-grams; so do all words if their own rows are not composed yet. A row's error
    reaches a vector that is the mean of n rows divided by n, so that in a squared error the row
    counts 1/n². A classifier's vectors are means over whole texts, in which all rows count alike.

    Args:
        words: The words of the leading rows; where several rows have the same word, the first
            counts.
        num_rows: N.
        subwords: The n-grams that the further rows are for; None: there are none.

    Attributes:
        counts: How often each row was used, float64 ``(N,)``.
        total: The sum of the words' counts.
        known: The sum of the counts of words that the table has.
    """

    def __init__(
        self, words: Sequence[str | None], num_rows: int, subwords: SubwordRows | None = None
    ) -> None:
        self._rows: dict[bytes, int] = {}
        for row, word in enumerate(words):
            if word is not None:
                self._rows.setdefault(word.encode(), row)
        self._subwords = subwords
        self.counts = np.zeros(num_rows)
        self.total = self.known = 0.0

    @property
    def has_words(self) -> bool:
        """Whether there is anything to match words with."""
        return bool(self._rows) or self._subwords is not None

    def add(self, counts: Mapping[bytes, float]) -> None:
        """Adds words, with the count of each."""
        parted: dict[bytes, float] = {}
        for word, count in counts.items():
            row = self._rows.get(word)
            self.total += count
            if self._subwords is not None and not (self._subwords.composed and row is not None):
                parted[word] = count
            elif row is not None:
                self.counts[row] += count
                self.known += count
        if self._subwords is not None:
            self._add_parts(parted, self._subwords)

    def add_text(self, path: str | os.PathLike) -> None:
        """Counts the words of a text, piece by piece.

        Raises:
            InputError: The file is missing, damaged or UTF-16.
        """
        subwords = self._subwords
        if subwords is None or subwords.classifier is None:
            for words in words_of(path):
                self.add(Counter(words))
            return
        most, num_buckets = subwords.classifier.word_ngrams, subwords.ngrams.num_buckets
        with open_stream(Path(path), WHAT) as stream:
            lines = iter(stream)
            while some := list(islice(lines, _LINES)):
                counted: Counter[bytes] = Counter()
                for line in some:
                    tokens = [word for word in tokens_of(line) if not word.startswith(LABEL)]
                    counted.update(tokens)
                    self._add_buckets(word_ngram_buckets(tokens, most, num_buckets), subwords)
                self.add(counted)

    def _add_parts(self, counts: Mapping[bytes, float], subwords: SubwordRows) -> None:
        """Adds words whose vectors are the means of their own rows and their n-grams' rows."""
        for words, buckets, ends in subwords.ngrams.blocks(counts):
            rows = np.array([self._rows.get(word, -1) for word in words], dtype=np.int64)
            each = np.array([counts[word] for word in words], dtype=np.float64)
            sizes = np.diff(ends)
            parts = sizes + (rows >= 0)
            self.known += float(each[parts > 0].sum())
            if subwords.classifier is None:
                each /= np.maximum(1, parts) ** 2
            np.add.at(self.counts, rows[rows >= 0], each[rows >= 0])
            self._add_buckets(buckets, subwords, np.repeat(each, sizes))

    def _add_buckets(
        self, buckets: np.ndarray, subwords: SubwordRows, each: np.ndarray | float = 1.0
    ) -> None:
        has_row = np.ones(len(buckets), dtype=bool)
        if subwords.kept is not None:
            has_row = np.isin(buckets, subwords.kept)
        weights = np.broadcast_to(each, buckets.shape)[has_row]
        np.add.at(self.counts, subwords.rows_of(buckets), weights)
