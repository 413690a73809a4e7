"""The interface for reading the rows of a table by ranges, from anywhere and of any number."""

from typing import Protocol

import numpy as np


class RowWords(Protocol):
    """The words of a table's rows; there may be fewer words than rows.

    A file of words is only scanned once the words are counted or read, and its errors are only
    raised then.
    """

    def __len__(self) -> int: ...

    def identity(self) -> object:
        """Returns what identifies the words, in JSON's types, to notice when they change."""
        ...

    def read(self, first: int, last: int) -> list[str | None]:
        """Returns the words of the rows ``first ... last-1``; None for a row without one.

        Raises:
            InputError: One cannot be kept as a word, or there are more words than rows.
        """
        ...


class RowSource(Protocol):
    """The rows of a table, each of which is determined by its number alone.

    All methods may be called from several threads.
    """

    @property
    def name(self) -> str:
        """The table's name in messages."""
        ...

    @property
    def num_rows(self) -> int:
        """N, which may exceed 2^32."""
        ...

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def unit_rows(self) -> bool:
        """Whether rows are handed out divided by their lengths."""
        ...

    @property
    def words(self) -> RowWords | None:
        """The rows' words; None where there are none."""
        ...

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1``, float32 ``(last - first, D)``, C-contiguous.

        Raises:
            InputError: A number is not finite in float32, or a nonzero row has no number that
                float32 represents with all its digits (messages count rows in the whole table,
                from 0); or the rows cannot be read.
        """
        ...

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their numbers, float32 ``(n, D)``.

        Args:
            rows: Integers ``(n,)`` in ascending order. Neighbours are read together, and each row
                group of Parquet and each chunk of Zarr is read once.

        Raises:
            InputError: As from ``read``.
        """
        ...

    def identity(self) -> dict[str, object]:
        """Returns what identifies the table, in JSON's types, to notice when it changes.

        That is the shape, whether rows are divided by their lengths, the words, and for each file
        its name, size and modification time, or the equivalents in its file system.
        """
        ...
