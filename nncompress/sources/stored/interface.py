"""What a container of rows has to offer; ``open_rows`` makes a row source of it."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from nncompress.sources.row_source import RowWords


class StoredRows(Protocol):
    """Rows in the type that they are stored in, unchecked.

    Attributes:
        name: The table's name in messages.
        num_rows: N.
        dim: D.
    """

    name: str
    num_rows: int
    dim: int

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns rows, of any float type, ``(last - first, D)``."""
        ...

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their numbers, int64 ``(n,)`` in rising order."""
        ...

    def files(self) -> list[dict[str, object]]:
        """Returns what tells for each file that it is still the same."""
        ...


@dataclass(frozen=True)
class Opened:
    """What was found in a source.

    Attributes:
        rows: The rows.
        words: The words that go with them.
        took_words: Whether these are the column that the caller has named for words.
    """

    rows: StoredRows
    words: RowWords | None = None
    took_words: bool = False


def spans(rows: np.ndarray, most_gap: int, most_rows: int) -> list[tuple[int, int]]:
    """Returns the parts of ascending row numbers that are read together.

    Args:
        rows: Integers ``(n,)`` in rising order.
        most_gap: How many rows may be read in vain between two of them.
        most_rows: The most rows from the first to the last of a part.

    Returns:
        Places in ``rows``: the first of a part, and the first after it.
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
