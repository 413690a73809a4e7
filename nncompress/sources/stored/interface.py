"""The interface of a container of rows, from which ``open_rows`` makes a row source."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from nncompress.sources.row_source import RowWords


class StoredRows(Protocol):
    """Rows in the type in which they are stored, unchecked.

    Attributes:
        name: The table's name in messages.
        num_rows: N.
        dim: D.
    """

    name: str
    num_rows: int
    dim: int

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1``, of any float type, ``(last - first, D)``."""
        ...

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their numbers, int64 ``(n,)`` in ascending order."""
        ...

    def files(self) -> list[dict[str, object]]:
        """Returns what identifies each file, to notice when it changes."""
        ...


@dataclass(frozen=True)
class Opened:
    """The rows and words of a source.

    Attributes:
        rows: The rows.
        words: The words that go with them.
        took_words: Whether the words are the column that the caller named.
    """

    rows: StoredRows
    words: RowWords | None = None
    took_words: bool = False


def spans(rows: np.ndarray, most_gap: int, most_rows: int) -> list[tuple[int, int]]:
    """Splits ascending row numbers into parts that are read together.

    Args:
        rows: Integers ``(n,)`` in ascending order.
        most_gap: The most unneeded rows to read between two of them.
        most_rows: The most rows from the first to the last of a part.

    Returns:
        For each part, the indices in ``rows`` where it begins and ends.
    """
    parts = []
    starts = [0, *(np.flatnonzero(np.diff(rows) > most_gap + 1) + 1).tolist(), len(rows)]
    for first, last in pairwise(starts):
        while first < last:
            bound = int(rows[first]) + most_rows
            end = last
            if rows[last - 1] >= bound:
                end = first + int(np.searchsorted(rows[first:last], bound))
            parts.append((first, end))
            first = end
    return parts
