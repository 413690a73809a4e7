"""The words of rows in several tables."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from nncompress.embedding.vocabulary import Vocabulary


def without_known(words: Sequence[str | None], known: Sequence[Vocabulary]) -> list[str | None]:
    """Returns the words of rows, with None for words that earlier rows have.

    Args:
        words: The word of each row, or None.
        known: The vocabularies of earlier rows.
    """
    own = set(words)
    taken = {word for before in known for word in before.sorted_words() if word in own}
    return [None if word in taken else word for word in words]


class ShardedVocabulary:
    """The vocabularies of shards as one, with the methods of ``Vocabulary``.

    Args:
        parts: The vocabulary of each shard; None for one without words.
        first_rows: The number of each shard's first row.
        num_rows: The total number of rows.
    """

    def __init__(
        self, parts: Sequence[Vocabulary | None], first_rows: Sequence[int], num_rows: int
    ) -> None:
        self.parts = list(parts)
        self._firsts = [int(row) for row in first_rows]
        self._num_rows = num_rows
        self.num_words = sum(len(part) for part in self.parts if part is not None)

    def __len__(self) -> int:
        return self.num_words

    def find(self, word: str) -> int:
        """Returns the row of a word, or -1."""
        for first, part in zip(self._firsts, self.parts, strict=True):
            row = -1 if part is None else part.find(word)
            if row >= 0:
                return first + row
        return -1

    def word(self, row: int) -> str | None:
        """Returns the word of a row, or None."""
        shard = bisect_right(self._firsts, row) - 1
        part = self.parts[shard]
        return None if part is None else part.word(row - self._firsts[shard])

    def words(self) -> list[str | None]:
        """Returns the word of each row, or None."""
        words: list[str | None] = []
        for part, size in zip(self.parts, self._sizes(), strict=True):
            words += [None] * size if part is None else part.words()
        return words

    def are_named(self, rows: np.ndarray) -> np.ndarray:
        """Tells which rows, by their numbers ``(n,)``, have a word: bool ``(n,)``."""
        named = np.zeros(len(rows), bool)
        owners = np.searchsorted(self._firsts, rows, side="right") - 1
        for number, part in enumerate(self.parts):
            if part is not None:
                own = owners == number
                named[own] = part.are_named(rows[own] - self._firsts[number])
        return named

    def _sizes(self) -> list[int]:
        ends = [*self._firsts[1:], self._num_rows]
        return [end - first for first, end in zip(self._firsts, ends, strict=True)]
