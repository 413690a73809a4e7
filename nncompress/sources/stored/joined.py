"""Shards: tables placed one after the other."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np

from nncompress.errors import InputError
from nncompress.sources.row_words import JoinedWords
from nncompress.sources.stored.interface import Opened

# A process may have this many files open, and more.
_MOST_OPEN = 32


class JoinedRows:
    """The rows of shards, in the order given.

    All are opened once to learn their sizes; later, only those read last are kept open.

    Args:
        openers: A function for each shard that opens it; at least one.
        name: The table's name in messages.

    Attributes:
        words: The words of the shards; None if none has any.
        took_words: Whether the words are columns that the caller named.

    Raises:
        InputError: The shards differ in their number of columns, or only some of them have the
            column that was named for words.
    """

    def __init__(self, openers: Sequence[Callable[[], Opened]], name: str) -> None:
        self.name = name
        self._openers = openers
        self._open: OrderedDict[int, Opened] = OrderedDict()
        self._lock = Lock()
        self._names: list[str] = []
        self._sizes: list[int] = []
        have_words = []
        for opener in openers:
            shard = opener()
            if not self._sizes:
                self.dim, self.took_words = shard.rows.dim, shard.took_words
            elif shard.rows.dim != self.dim:
                raise InputError(
                    f"{shard.rows.name} has {shard.rows.dim} columns, but {self._names[0]} has "
                    f"{self.dim}; wanted shards of one table"
                )
            if shard.took_words != self.took_words:
                raise InputError(
                    f"only one of {shard.rows.name} and {self._names[0]} has the column that was "
                    "named for words; wanted shards of one table"
                )
            self._names.append(shard.rows.name)
            self._sizes.append(shard.rows.num_rows)
            have_words.append(shard.words is not None)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes, dtype=np.int64)])
        self.num_rows = int(self._starts[-1])
        self.words = (
            JoinedWords(lambda index: self._shard(index).words, self._sizes, self._names)
            if any(have_words)
            else None
        )

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1`` as they are stored."""
        parts = []
        begin, end = np.searchsorted(self._starts, (first, last), "right") - 1
        for index in range(int(begin), min(int(end), len(self._sizes) - 1) + 1):
            start = int(self._starts[index])
            low, high = max(first - start, 0), min(last - start, self._sizes[index])
            if low < high:
                parts.append(self._shard(index).rows.read(low, high))
        return self._together(parts)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their ascending numbers."""
        parts = []
        bounds = np.searchsorted(rows, self._starts)
        for index in np.flatnonzero(np.diff(bounds)).tolist():
            of_shard = rows[bounds[index] : bounds[index + 1]] - self._starts[index]
            parts.append(self._shard(index).rows.take(of_shard))
        return self._together(parts)

    def name_at(self, row: int) -> str:
        """Returns the name of the table and that of the shard that has a row."""
        index = int(np.searchsorted(self._starts, row, "right")) - 1
        return f"{self.name}, in {self._names[index]},"

    def files(self) -> list[dict[str, object]]:
        """Returns what identifies each file."""
        return [
            file for index in range(len(self._sizes)) for file in self._shard(index).rows.files()
        ]

    def _together(self, parts: list[np.ndarray]) -> np.ndarray:
        if len(parts) == 1:
            return parts[0]
        # The largest of several float types, which can represent all numbers of the others.
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)

    def _shard(self, index: int) -> Opened:
        with self._lock:
            if index not in self._open:
                shard = self._openers[index]()
                shape = shard.rows.num_rows, shard.rows.dim
                if shape != (self._sizes[index], self.dim):
                    raise InputError(
                        f"{shard.rows.name} has changed to a table of shape {shape}, from "
                        f"{(self._sizes[index], self.dim)}; wanted files that do not change"
                    )
                self._open[index] = shard
                while len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(index)
            return self._open[index]
