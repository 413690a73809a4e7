"""What users do with a table and its words, for kinds of files that are fuzzed."""

import warnings
from pathlib import Path

import numpy as np

from nncompress.embedding.keys import Keys
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.sources.open_rows import open_rows
from nncompress.sources.tables import open_table

WORDS = ["the", "\u00a0é", ". . .", "1", "a" * 200, "\u2028", "ﬁ\r", *(f"w{i}" for i in range(40))]
ROWS = np.random.default_rng(5).normal(size=(len(WORDS), 3)).round(3).astype(np.float32)


def text_of(words=WORDS, header=False) -> bytes:
    """Returns word vectors in text."""
    rows = zip(words, ROWS.tolist(), strict=True)
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in rows]
    return "".join([f"{len(words)} 3\n" if header else "", *lines]).encode()


def use_table(path: Path) -> list:
    """Opens a table, looks at all of it, and makes a vocabulary of its words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with open_table(path) as table:
            matrix, words = table.matrix, table.words
            numbers = np.arange(len(matrix))
            rows = [matrix.take(numbers[i : i + 64]) for i in range(0, len(matrix), 64)]
            if words is not None:
                use_vocabulary(Vocabulary.of_words(words, len(matrix)), len(matrix), words[:9])
            return rows


def use_vocabulary(vocabulary: Vocabulary, num_rows: int, words) -> None:
    """Looks words up in every way, first those that are given.

    What the views of keys hand out has to agree with look-ups.
    """
    keys = Keys(vocabulary, num_rows)
    for word in words:
        assert keys.row(word) is None or 0 <= keys.row(word) < num_rows
    first = [keys.index_to_key[row] for row in range(min(num_rows, 64))]
    assert first == list(keys.index_to_key)[:64]
    rows = dict(keys.key_to_index)
    assert len(rows) == len(keys.key_to_index)
    assert rows == dict(keys.key_to_index.items())
    assert len(keys.wordless) == num_rows - len(rows)


def use_rows(path: Path) -> None:
    """Opens the rows of a table and reads some by ranges and some by their numbers."""
    with open_rows(path) as rows:
        for first in range(0, min(rows.num_rows, 1_000), 7):
            rows.read(first, min(first + 7, rows.num_rows))
        rows.take(np.arange(0, min(rows.num_rows, 1_000), 9))
        if rows.words is not None:
            rows.words.read(0, min(rows.num_rows, 1_000))
