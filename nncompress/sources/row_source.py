"""What hands out the rows of a table by ranges, wherever they are and however many."""

from typing import Protocol

import numpy as np


class RowWords(Protocol):
    """The words of a table's rows, of which there may be fewer than rows.

    A file of words is first gone through when they are counted or read: what is wrong with it is
    told then.
    """

    def __len__(self) -> int: ...

    def identity(self) -> object:
        """Returns what tells that they are still the same words, in JSON's types."""
        ...

    def read(self, first: int, last: int) -> list[str | None]:
        """Returns the words of the rows ``first ... last-1``; None for a row without.

        Raises:
            InputError: One cannot be kept as a word, or there are more words than rows.
        """
        ...


class RowSource(Protocol):
    """The rows of a table; what they are is a plain function of their numbers.

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
            InputError: A number is not finite in float32, or a row other than 0 has no number that
                float32 has all digits of; rows are counted in the whole table, from 0. Or they
                cannot be read.
        """
        ...

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their numbers, float32 ``(n, D)``.

        Args:
            rows: Integers ``(n,)`` in rising order. Neighbours are read together, and each row
                group of Parquet and each chunk of Zarr once.

        Raises:
            InputError: As from ``read``.
        """
        ...

    def identity(self) -> dict[str, object]:
        """Returns what tells that it is still the same table, in JSON's types.

        That is the shape, whether rows are divided by their lengths, the words, and for each file
        its name, bytes and time of change, or what its place has for them.
        """
        ...
