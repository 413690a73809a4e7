"""The vectors of keys: of rows, and of words composed from their n-grams alone."""

from collections.abc import Iterable, Sequence

import numpy as np

from nncompress.embedding.keys import Key, Keys
from nncompress.embedding.sharded_table import Table
from nncompress.sources.subword_rows import SubwordRows


class KeyVectors:
    """Looks up the vectors of keys.

    As in fastText, the vector of a word without a row is the mean of the rows of its character
    n-grams, where the table has rows for them. N-grams whose bucket has no row are left out, and
    the vector of a word without n-grams is zero.

    Args:
        table: The rows.
        keys: The keys of its rows.
        subwords: Which rows belong to n-grams; None for no such rows.
    """

    def __init__(self, table: Table, keys: Keys, subwords: SubwordRows | None = None) -> None:
        self._table, self._keys, self._subwords = table, keys, subwords
        self._as_stored = subwords is None or subwords.composed

    def has(self, key: object) -> bool:
        """Tells whether a key has a vector: a row of its own, or an n-gram that has a row."""
        if self._keys.row(key) is not None:
            return True
        return isinstance(key, str) and self._rows_of_ngrams(key) is not None

    def vector(self, key: Key) -> np.ndarray:
        """Returns the vector of a key, float32 ``(D,)``.

        Raises:
            KeyError: The key is missing.
        """
        row = self._keys.row(key)
        if row is not None and (self._as_stored or not isinstance(key, str)):
            return self._table.vector(row)
        rows = self._rows_of_ngrams(key) if isinstance(key, str) else None
        if rows is None and row is None:
            self.check([key])
        own = np.array([] if row is None else [row], np.int64)
        rows = own if rows is None else np.concatenate([own, rows])
        if not len(rows):
            return np.zeros(self._table.dim, np.float32)
        return self._table.decode(rows).mean(axis=0)

    def vectors(self, keys: Sequence[Key]) -> np.ndarray:
        """Returns the vectors of keys, float32 ``(n, D)``.

        Raises:
            KeyError: Keys are missing; the message names them.
        """
        keys = list(keys) if isinstance(keys, Iterable) else [keys]
        rows = [self._keys.row(key) for key in keys]
        if self._subwords is None or (self._as_stored and None not in rows):
            return self._table.decode(np.array(self._keys.rows(keys), dtype=np.int64))
        self.check(keys)
        return np.stack([self.vector(key) for key in keys])

    def check(self, keys: Iterable[Key]) -> None:
        """Refuses missing keys.

        Raises:
            KeyError: Keys are missing; the message names them.
        """
        self._keys.rows(key for key in keys if not self.has(key))

    def _rows_of_ngrams(self, word: str) -> np.ndarray | None:
        """Returns the rows of a word's n-grams, int64 ``(n,)``; None if none has a row."""
        subwords = self._subwords
        if subwords is None or not subwords.ngrams.has_any:
            return None
        try:
            encoded = word.encode("utf-8")
        except UnicodeEncodeError:
            return None
        buckets, _ = subwords.ngrams.of([encoded])
        rows = subwords.rows_of(buckets)
        return rows if len(rows) or not len(buckets) else None
