"""The decoded rows of a compressed table, as an array that is read and never held."""

from collections.abc import Iterator, Sequence

import numpy as np

from nncompress.embedding.sharded_table import Table

_WANTED = "wanted a row number, a slice, integers of any shape, or a truth value for each row"


class DecodedRows:
    """Looks like the array ``(N, D)``, read-only; rows are decoded when they are asked for.

    ``numpy.asarray`` decodes all of them.

    Args:
        table: The compressed rows.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, D)``."""
        return self._table.num_rows, self._table.dim

    def __len__(self) -> int:
        return self._table.num_rows

    def __getitem__(self, rows: int | slice | np.ndarray | Sequence) -> np.ndarray:
        """Decodes rows, as NumPy's indexing has them: float32, a new array.

        Args:
            rows: A row number, a slice, integers of any shape, of which negative ones count from
                the end, or a truth value for each row.

        Returns:
            D longer than the shape of ``rows``: ``(D,)`` for a single number.

        Raises:
            IndexError: A number is out of bounds, or it is something else.
        """
        if isinstance(rows, slice):
            return self._table.decode(rows)
        if isinstance(rows, tuple):
            raise IndexError(f"{len(rows)} indices; {_WANTED}, and columns of what is returned")
        numbers = self._numbers(rows)
        decoded = self._table.decode(numbers.reshape(-1))
        return decoded.reshape(*numbers.shape, self._table.dim)

    def _numbers(self, rows: object) -> np.ndarray:
        """Returns row numbers from 0 on, int64, in the shape that is asked for."""
        try:
            given = np.asarray(rows)
        except ValueError as error:
            raise IndexError(f"{error}; {_WANTED}") from None
        num_rows = self._table.num_rows
        if given.dtype == np.bool_ and given.shape == (num_rows,):
            return np.flatnonzero(given).astype(np.int64)
        if given.size and given.dtype.kind not in "ui":
            raise IndexError(f"indices of type {given.dtype} and shape {given.shape}; {_WANTED}")
        if given.size == 0:
            return given.astype(np.int64)
        if given.min() < -num_rows or given.max() >= num_rows:
            bad = given.max() if given.max() >= num_rows else given.min()
            raise IndexError(f"there is no row {bad}; wanted {-num_rows} to {num_rows - 1}")
        numbers = given.astype(np.int64)
        return np.where(numbers < 0, numbers + num_rows, numbers)

    def __iter__(self) -> Iterator[np.ndarray]:
        for _, rows in self._table.blocks():
            yield from rows

    def __array__(
        self, dtype: np.dtype | type | None = None, copy: bool | None = None
    ) -> np.ndarray:
        """Decodes the whole table, ``(N, D)``.

        Args:
            dtype: The type of the array; float32 by default.
            copy: False asks for an array that shares its memory, which there is none of.

        Raises:
            ValueError: ``copy`` is False.
        """
        if copy is False:
            raise ValueError("decoding makes a new array; wanted copy=None or copy=True")
        return self._table.decode(slice(None)).astype(
            self.dtype if dtype is None else dtype, copy=False
        )

    def __repr__(self) -> str:
        return f"<DecodedRows of shape {self.shape}, float32, decoded when they are asked for>"
