"""Keys of a table: its words, and the numbers of its rows."""

import warnings
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from typing import overload

import numpy as np

from nncompress.embedding.sharded_vocabulary import ShardedVocabulary
from nncompress.embedding.spelling import did_you_mean, nearest_spellings
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.errors import FormatError

Words = Vocabulary | ShardedVocabulary
Key = str | int
# Types of a single key, where a list of keys is accepted too. bytes are never a key, but are not
# taken for a list of numbers either.
SINGLE_KEYS = (str, bytes, bytearray, int, np.integer)
MOST_NAMED = 10  # missing keys named in a message


class MissingKeys(KeyError):
    """Keys that a table does not have.

    As text, it also names the words of the table with the nearest spelling. They are searched for
    only when the text is requested, so that catching the exception costs nothing.

    Args:
        message: The message without those words.
        missing: The keys.
        vocabulary: The words of the table; None for a table without words.
    """

    def __init__(
        self, message: str, missing: Sequence[object] = (), vocabulary: Words | None = None
    ) -> None:
        super().__init__(message)
        self.missing = missing
        self._vocabulary = vocabulary

    def __str__(self) -> str:
        try:
            return self.args[0] + did_you_mean(self.suggestions())
        except FormatError:  # a damaged vocabulary: the key is missing all the same
            return self.args[0]

    def suggestions(self) -> dict[str, list[str]]:
        """Returns, for each missing word, at most three words with the nearest spelling."""
        words = [key for key in self.missing if isinstance(key, str)][:MOST_NAMED]
        if self._vocabulary is None:
            return {word: [] for word in words}
        return nearest_spellings(words, self._vocabulary)

    def __reduce__(self) -> tuple:
        # For another process: with the words that may have been meant, without the vocabulary.
        return MissingKeys, (str(self), self.missing)


class Keys:
    """The rows that words and row numbers stand for.

    Args:
        vocabulary: The words; None for a table without words, whose keys are row numbers.
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
        """Each row's word, or the row's number if it has none."""
        return RowKeys(self.vocabulary, self.num_rows)

    @property
    def key_to_index(self) -> "WordRows":
        """Each word's row; without words, each row's number."""
        return WordRows(self.vocabulary, self.num_rows)

    @property
    def wordless(self) -> np.ndarray:
        """Rows without a word in a table with words, in ascending order, int64."""
        if self._wordless is None:
            rows = np.arange(0 if self.vocabulary is None else self.num_rows)
            if self.vocabulary is not None:
                rows = rows[~self.vocabulary.are_named(rows)]
            self._wordless = rows
        return self._wordless

    def named(self, rows: np.ndarray) -> np.ndarray:
        """Returns the given rows that have a word; all of them where the table has no words."""
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
            raise MissingKeys(self._refusal(missing), missing, self.vocabulary)
        return rows

    def _refusal(self, missing: Sequence[object]) -> str:
        named = ", ".join(map(repr, missing[:MOST_NAMED]))
        more = ", ..." if len(missing) > MOST_NAMED else ""
        has_bytes = any(isinstance(key, (bytes, bytearray)) for key in missing)
        return (
            f"{named}{more}: not among the {len(self.key_to_index):,} keys of this table; wanted "
            f"a word of it{', a str as decode() makes of bytes' * has_bytes}, or a row number "
            f"from 0 to {self.num_rows - 1:,}"
        )

    def with_scores(self, rows: np.ndarray, scores: np.ndarray) -> list[tuple[Key, float]]:
        """Returns pairs of a row's key and its score."""
        keys = self.index_to_key
        return [(keys[row], one) for row, one in zip(rows.tolist(), scores.tolist(), strict=True)]


def vocabulary_of(words: Sequence[str | None] | None, num_rows: int) -> Vocabulary | None:
    """Builds the vocabulary of a table, and warns if rows share a word.

    Args:
        words: For each row its word or None; rows past the last word have none. None for a table
            without words.
        num_rows: N.

    Raises:
        InputError: There are more words than rows, or a word is not a valid string.
    """
    if words is None:
        return None
    vocabulary = Vocabulary.of_words(words, num_rows)
    if more := sum(word is not None for word in words) - len(vocabulary):
        rows = "1 row repeats" if more == 1 else f"{more} rows repeat"
        warnings.warn(
            f"{rows} the word of an earlier row; a word stands for its first row, and "
            "the others are reached by number",
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
    """The row of each word, in row order; without words, of each row number."""

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
        """Iterates over words and their rows, without looking each word up."""
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
