"""What a table's words look like from outside: a sequence by row, and a mapping to rows."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nncompress.embedding.vocabulary import Vocabulary

Key = str | int


class RowKeys(Sequence):
    """The key of each row, in row order: its word, or its number if it has none."""

    def __init__(self, vocabulary: Vocabulary | None, num_rows: int) -> None:
        self._vocabulary = vocabulary
        self._num_rows = num_rows

    def __len__(self) -> int:
        return self._num_rows

    def __getitem__(self, row: int | slice) -> Key | list[Key]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(self._num_rows))]
        row = range(self._num_rows)[row]
        if self._vocabulary is None:
            return row
        word = self._vocabulary.word(row)
        return row if word is None else word

    def __iter__(self) -> Iterator[Key]:
        if self._vocabulary is None:
            return iter(range(self._num_rows))
        words = self._vocabulary.words()
        return (row if word is None else word for row, word in enumerate(words))


class WordRows(Mapping):
    """The row of each word, words in row order; without words, of each row number."""

    def __init__(self, vocabulary: Vocabulary | None, num_rows: int) -> None:
        self._vocabulary = vocabulary
        self._num_rows = num_rows

    def __len__(self) -> int:
        return self._num_rows if self._vocabulary is None else len(self._vocabulary)

    def __getitem__(self, key: Key) -> int:
        row = -1
        if self._vocabulary is None:
            if isinstance(key, (int, np.integer)) and 0 <= key < self._num_rows:
                row = int(key)
        elif isinstance(key, str):
            row = self._vocabulary.find(key)
        if row < 0:
            raise KeyError(key)
        return row

    def __iter__(self) -> Iterator[Key]:
        return (key for key, _ in self.items())

    def items(self) -> Iterator[tuple[Key, int]]:
        """Goes through words and their rows, without a look-up for each."""
        if self._vocabulary is None:
            return ((row, row) for row in range(self._num_rows))
        words = self._vocabulary.words()
        return ((word, row) for row, word in enumerate(words) if word is not None)

    def values(self) -> Iterator[int]:
        """Goes through the rows that have a word."""
        return (row for _, row in self.items())
