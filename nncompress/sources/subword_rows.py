"""Tables whose rows are words and, after them, the buckets of their character n-grams."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.npy import BLOCK_BYTES, Rows
from nncompress.sources.corpus import words_of
from nncompress.sources.fasttext_text import LABEL, tokens_of, word_ngram_buckets
from nncompress.sources.ngrams import Ngrams
from nncompress.sources.streams import open_stream

_MOST_BLOCK_ROWS = 1 << 14
# The largest count of a label: fastText gives the nodes of its tree a placeholder one above it.
MOST_COUNT = 10**15 - 1
_MOST_SEEN = 1 << 20  # words that are remembered because their n-grams are already marked


@dataclass(frozen=True)
class Classifier:
    """The labels of a supervised fastText model and their output rows.

    Attributes:
        loss: ``"softmax"``, ``"hs"``, ``"ns"`` or ``"ova"``, which decides how probabilities are
            computed.
        word_ngrams: The most words of a word n-gram, which has a bucket too.
        labels: The labels, in the order of the output rows.
        counts: How often each was seen, int64 ``(L,)``, from which the tree of ``"hs"`` is built.
        output: float32 ``(L, D)``.
    """

    loss: str
    word_ngrams: int
    labels: list[str]
    counts: np.ndarray
    output: np.ndarray


def odd_count(counts: np.ndarray) -> int | None:
    """Returns a count of a label that is out of bounds; None if all of ``(L,)`` are fine."""
    odd = counts[(counts < 0) | (counts > MOST_COUNT)]
    return int(odd[0]) if len(odd) else None


@dataclass(frozen=True)
class SubwordRows:
    """The layout of a table whose rows are words and the buckets of their n-grams.

    Attributes:
        ngrams: The n-grams of words, and the hash that gives their buckets.
        num_words: V: words have the rows before it, and buckets those from it on.
        kept: The buckets that have a row, int64 in ascending order; None: all have.
        composed: Whether a word's row is already the mean of its own row and those of its n-grams,
            as lookups return it; otherwise that mean is taken when a word is looked up.
        classifier: The labels and their rows; None: the model has none.
    """

    ngrams: Ngrams
    num_words: int
    kept: np.ndarray | None
    composed: bool
    classifier: Classifier | None = None

    @property
    def num_buckets(self) -> int:
        """The number of buckets that have a row."""
        return self.ngrams.num_buckets if self.kept is None else len(self.kept)

    def __str__(self) -> str:
        """Returns a line that says what the rows are, and how many buckets have none."""
        some = f"{self.num_words:,} words and {self.num_buckets:,} buckets of n-grams"
        if self.kept is None:
            return some
        left_out = self.ngrams.num_buckets - self.num_buckets
        return f"{some}; {left_out:,} buckets that no word uses are left out"

    def rows_of(self, buckets: np.ndarray) -> np.ndarray:
        """Returns the rows of buckets, int64; those without one are left out."""
        if self.kept is None:
            return self.num_words + buckets
        places = np.searchsorted(self.kept, buckets)
        found = places < len(self.kept)
        found[found] = self.kept[places[found]] == buckets[found]
        return self.num_words + places[found]


@dataclass(frozen=True)
class SubwordModel:
    """A model of words and n-grams whose rows can be read in blocks.

    Attributes:
        name: Its name in messages.
        rows: The layout of its rows, before any is left out.
        encoded: The words as bytes, from which their n-grams are made.
        words: The words.
        dim: D.
        read_words: Yields the rows of the first n words, a block of float ``(m, D)`` at a time.
        read_buckets: Yields the rows of all buckets in the same way.
        files: What identifies each file, to notice when it changes.
    """

    name: str
    rows: SubwordRows
    encoded: list[bytes]
    words: list[str | None]
    dim: int
    read_words: Callable[[int], Iterator[np.ndarray]]
    read_buckets: Callable[[], Iterator[np.ndarray]]
    files: list[dict[str, object]]

    @property
    def num_rows(self) -> int:
        """The number of rows of words and buckets."""
        return self.rows.num_words + self.rows.num_buckets

    def limited(self, limit: int | None) -> "SubwordModel":
        """Returns the model with only the first words and all buckets.

        Raises:
            InputError: It is a classifier, or has no words.
        """
        if limit is None:
            return self
        if self.rows.classifier is not None or not self.words:
            what = "a classifier" if self.rows.classifier is not None else "a table of buckets"
            raise InputError(
                f"a limit on rows was given for {self.name}, {what}, which needs all of its rows; "
                "leave the limit out"
            )
        count = min(limit, len(self.words))
        return replace(
            self, encoded=self.encoded[:count], words=self.words[:count],
            rows=replace(self.rows, num_words=count),
        )  # fmt: skip

    def pruned(self, corpus: str | os.PathLike | None = None) -> "SubwordModel":
        """Returns the model without the buckets that no word uses.

        Args:
            corpus: A text whose words use buckets too; None: only those of the vocabulary do.

        Raises:
            InputError: There are no words, or words alone cannot tell which buckets are used.
        """
        ngrams, own = self.rows.ngrams, self.rows.classifier
        used = np.zeros(ngrams.num_buckets, bool)
        for _, buckets, _ in ngrams.blocks(self.encoded):
            used[buckets] = True
        if corpus is not None:
            _mark(used, ngrams, corpus, 1 if own is None else own.word_ngrams)
        elif own is not None and own.word_ngrams > 1:
            raise InputError(
                f"{self.name} has buckets of word n-grams too, which a list of words cannot tell; "
                "name the text that it was trained on, one example a line (--corpus)"
            )
        elif not self.words:
            raise InputError(
                f"{self.name} has no words that tell which buckets are used; name a text that "
                "does (--corpus)"
            )
        kept = np.flatnonzero(used)
        if not len(kept) + len(self.words):
            raise InputError(f"{corpus} has no words; wanted a text whose n-grams are to be kept")
        return replace(self, rows=replace(self.rows, kept=kept))

    def like(self, rows: SubwordRows) -> "SubwordModel":
        """Returns the model with only the leading words and the buckets that another table has.

        Raises:
            InputError: That table has other n-grams.
        """
        count = rows.num_words
        if rows.ngrams != self.rows.ngrams or count > len(self.words):
            raise InputError(
                f"{self.name} has {len(self.words):,} words and n-grams of {self.rows.ngrams}; "
                f"wanted at least {count:,} and {rows.ngrams}"
            )
        return replace(
            self, encoded=self.encoded[:count], words=self.words[:count],
            rows=replace(self.rows, num_words=count, kept=rows.kept),
        )  # fmt: skip

    def blocks(self) -> Rows:
        """Yields all rows in blocks, without tokens."""
        for block in self.read_words(self.rows.num_words):
            yield [b""] * len(block), block
        kept, first = self.rows.kept, 0
        for block in self.read_buckets():
            own = block
            if kept is not None:
                begin, end = np.searchsorted(kept, [first, first + len(block)])
                own = block[kept[begin:end] - first]
            first += len(block)
            if len(own):
                yield [b""] * len(own), own


def _mark(used: np.ndarray, ngrams: Ngrams, corpus: str | os.PathLike, word_ngrams: int) -> None:
    """Marks the buckets that a text uses.

    Args:
        used: Whether each bucket is used, bool ``(B,)``.
        ngrams: The n-grams of words, and the hash that gives their buckets.
        corpus: The text.
        word_ngrams: The most words of a word n-gram; above 1, each line is a text of its own.
    """
    seen: set[bytes] = set()
    for words in words_of(corpus):
        new = set(words) - seen
        seen = new if len(seen) > _MOST_SEEN else seen | new
        for _, buckets, _ in ngrams.blocks(sorted(new)):
            used[buckets] = True
    if word_ngrams > 1:
        with open_stream(Path(corpus), "a text") as lines:
            for line in lines:
                words = [word for word in tokens_of(line) if not word.startswith(LABEL)]
                used[word_ngram_buckets(words, word_ngrams, len(used))] = True


def array_blocks(array: np.ndarray, count: int | None = None) -> Iterator[np.ndarray]:
    """Yields the first ``count`` rows of an array in blocks; by default all rows."""
    count = len(array) if count is None else count
    step = block_rows(array.shape[1])
    for first in range(0, count, step):
        yield array[first : min(first + step, count)]


def block_rows(dim: int) -> int:
    """Returns the number of rows of D columns in a block."""
    return min(_MOST_BLOCK_ROWS, max(1, BLOCK_BYTES // (4 * dim)))


def composed_blocks(
    matrix: np.ndarray, num_words: int, own_rows: int, encoded: Sequence[bytes], ngrams: Ngrams
) -> Iterator[np.ndarray]:
    """Yields words' vectors in blocks: the means of their own rows and those of their n-grams.

    Args:
        matrix: The rows of words, then those of buckets, ``(V + B, D)``.
        num_words: V.
        own_rows: The number of leading words whose own rows count.
        encoded: The bytes of the leading words.
        ngrams: The n-grams of words, and the hash that gives their buckets.

    Yields:
        float32 ``(n, D)``; zeros for a word with neither a row nor n-grams.
    """
    first = 0
    for words, buckets, ends in ngrams.blocks(encoded, block_rows(matrix.shape[1])):
        own = max(0, min(own_rows - first, len(words)))
        counts = np.diff(ends)
        sums = np.zeros((len(words), matrix.shape[1]), np.float32)
        sums[:own] = matrix[first : first + own]
        some = np.flatnonzero(counts)
        if len(some):
            with np.errstate(over="ignore", invalid="ignore"):  # refused when rows are checked
                sums[some] += np.add.reduceat(matrix[num_words + buckets], ends[some], axis=0)
        counts[:own] += 1
        first += len(words)
        yield sums / np.maximum(1, counts)[:, None].astype(np.float32)
