"""Keys of a table: its words, and the numbers of its rows."""

import warnings
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from typing import overload

import numpy as np

from nncompress.embedding.sharded_vocabulary import ShardedVocabulary
from nncompress.embedding.vocabulary import Vocabulary

Words = Vocabulary | ShardedVocabulary
Key = str | int
# What stands for one key where a list of keys may stand too; bytes are none, and are not a list of
# numbers either.
SINGLE_KEYS = (str, bytes, bytearray, int, np.integer)
_MOST_NAMED = 10  # missing keys that a message names


class Keys:
    """The rows that words and row numbers stand for.

    Args:
        vocabulary: The words; None for a table without any, whose rows have their numbers.
        num_rows: N.

    Attributes:
        vocabulary: The words, or None.
        num_rows: N.
    """

    def __init__(self, vocabulary: Words | None, num_rows: int) -> None:
        self.vocabulary = vocabulary
        self.num_rows = num_rows
        self._wordless: np.ndarray | None = None

    @property
    def index_to_key(self) -> "RowKeys":
        """Each row's word, or its number if it has none."""
        return RowKeys(self.vocabulary, self.num_rows)

    @property
    def key_to_index(self) -> "WordRows":
        """Each word's row; without words, each row's number."""
        return WordRows(self.vocabulary, self.num_rows)

    @property
    def wordless(self) -> np.ndarray:
        """Numbers of the rows that have no word though others have, in rising order, int64."""
        if self._wordless is None:
            rows = np.arange(0 if self.vocabulary is None else self.num_rows)
            if self.vocabulary is not None:
                rows = rows[~self.vocabulary.are_named(rows)]
            self._wordless = rows
        return self._wordless

    def named(self, rows: np.ndarray) -> np.ndarray:
        """Returns those of some rows that have a word; all, where no row has one."""
        return rows if self.vocabulary is None else rows[self.vocabulary.are_named(rows)]

    def row(self, key: object) -> int | None:
        """Returns the row of a word or of a row number, or None."""
        if isinstance(key, str):
            row = -1 if self.vocabulary is None else self.vocabulary.find(key)
            return None if row < 0 else row
        if isinstance(key, (int, np.integer)) and 0 <= key < self.num_rows:
            return int(key)
        return None

    def rows(self, keys: Iterable[Key]) -> list[int]:
        """Returns the row of each key.

        Raises:
            KeyError: Keys are missing; the message names them.
        """
        rows, missing = [], []
        for key in keys:
            row = self.row(key)
            if row is None:
                missing.append(key)
            else:
                rows.append(row)
        if missing:
            named = ", ".join(map(repr, missing[:_MOST_NAMED]))
            more = ", ..." if len(missing) > _MOST_NAMED else ""
            has_bytes = any(isinstance(key, (bytes, bytearray)) for key in missing)
            raise KeyError(
                f"{named}{more}: not among the {len(self.key_to_index)} keys of this table; "
                f"wanted a word of it{', a str as decode() makes of bytes' * has_bytes}, or a row "
                f"number from 0 to {self.num_rows - 1}"
            )
        return rows

    def with_scores(self, rows: np.ndarray, scores: np.ndarray) -> list[tuple[Key, float]]:
        """Returns pairs of rows' keys and their scores."""
        keys = self.index_to_key
        return [(keys[row], one) for row, one in zip(rows.tolist(), scores.tolist(), strict=True)]


def vocabulary_of(words: Sequence[str | None] | None, num_rows: int) -> Vocabulary | None:
    """Builds the vocabulary of a table, and warns of rows whose word an earlier row has.

    Args:
        words: The word of each row or None; rows past the last word have none. None: no words.
        num_rows: N.

    Raises:
        InputError: There are more words than rows, or a word is no valid string.
    """
    if words is None:
        return None
    vocabulary = Vocabulary.of_words(words, num_rows)
    if more := sum(word is not None for word in words) - len(vocabulary):
        warnings.warn(
            f"{more} rows have a word that an earlier row has; the first row of each word has it, "
            "and the others are reached by number",
            stacklevel=3,
        )
    return vocabulary


class RowKeys(Sequence[Key]):
    """The key of each row, in row order: its word, or its number if it has none."""

    def __init__(self, vocabulary: Words | None, num_rows: int) -> None:
        self._vocabulary = vocabulary
        self._num_rows = num_rows

    def __len__(self) -> int:
        return self._num_rows

    @overload
    def __getitem__(self, row: int) -> Key: ...

    @overload
    def __getitem__(self, row: slice) -> list[Key]: ...

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


class WordRows(Mapping[Key, int]):
    """The row of each word, words in row order; without words, of each row number."""

    def __init__(self, vocabulary: Words | None, num_rows: int) -> None:
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
        return (key for key, _ in self.pairs())

    def pairs(self) -> Iterator[tuple[Key, int]]:
        """Goes through words and their rows, without a look-up for each."""
        if self._vocabulary is None:
            return ((row, row) for row in range(self._num_rows))
        words = self._vocabulary.words()
        return ((word, row) for row, word in enumerate(words) if word is not None)

    def items(self) -> ItemsView[Key, int]:
        """Returns a view of words and their rows."""
        return _Items(self)

    def values(self) -> ValuesView[int]:
        """Returns a view of the rows that have a word."""
        return _Rows(self)


class _Items(ItemsView[Key, int]):
    def __init__(self, words: WordRows) -> None:
        super().__init__(words)
        self._words = words

    def __iter__(self) -> Iterator[tuple[Key, int]]:
        return self._words.pairs()


class _Rows(ValuesView[int]):
    def __init__(self, words: WordRows) -> None:
        super().__init__(words)
        self._words = words

    def __iter__(self) -> Iterator[int]:
        return (row for _, row in self._words.pairs())
