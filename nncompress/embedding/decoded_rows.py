"""The rows of a compressed table as a read-only array that is decoded on demand."""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError

_WANTED = (
    "wanted a row number, a slice, integers of any shape, or a boolean for each row, "
    "optionally followed by an index of columns"
)
_NUMBERS_AT_ONCE = 1 << 20
# Array methods that make a new value; here they work on the decoded table.
_OF_ARRAYS = frozenset((
    "T", "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumsum", "dot",
    "flatten", "max", "mean", "min", "ravel", "reshape", "round", "std", "sum", "tobytes",
    "tolist", "transpose", "var",
))  # fmt: skip


class DecodedRows(NDArrayOperatorsMixin):
    """Behaves like a read-only array ``(N, D)`` whose rows are decoded on demand.

    ``numpy.asarray``, arithmetic, and methods such as ``mean`` decode all rows.

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

    @property
    def size(self) -> int:
        """N times D."""
        return self._table.num_rows * self._table.dim

    @property
    def nbytes(self) -> int:
        """Size of the decoded table in bytes."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self._table.num_rows

    def __getitem__(self, rows: Any) -> Any:
        """Decodes rows selected as in NumPy's indexing, into a new float32 array.

        Args:
            rows: A row number, a slice, integers of any shape (negative ones count from the end),
                or a boolean for each row; or a pair of one of these and an index of columns.

        Returns:
            The shape of ``rows`` followed by D: ``(D,)`` for a single number. With columns, what
            indexing the decoded array gives.

        Raises:
            IndexError: A number is out of bounds, or the index is of another kind.
        """
        if isinstance(rows, tuple) or rows is Ellipsis:
            return self._cells(*_rows_and_columns(rows if isinstance(rows, tuple) else (rows,)))
        if isinstance(rows, slice):
            return self._table.decode(rows)
        numbers = self._numbers(rows)
        decoded = self._table.decode(numbers.reshape(-1))
        return decoded.reshape(*numbers.shape, self._table.dim)

    def _cells(self, rows: Any, columns: Any) -> Any:
        """Decodes rows, a few at a time, and keeps the columns asked for."""
        if isinstance(columns, slice) and columns == slice(None):
            return self[rows]
        if isinstance(rows, slice):
            numbers = np.arange(*rows.indices(self._table.num_rows))
        else:
            numbers = self._numbers(rows)
            if not isinstance(columns, slice):
                return self._places(numbers, columns)
        parts = [part[:, columns] for part in self._decoded(numbers.reshape(-1))]
        found = np.concatenate(parts)
        return found.reshape(*numbers.shape, *found.shape[1:])

    def _places(self, numbers: np.ndarray, columns: Any) -> Any:
        """Returns the entries at pairs of rows and columns, paired as NumPy does."""
        places = np.arange(self._table.dim)[columns]  # NumPy checks them
        try:
            pairs = np.broadcast_arrays(numbers, places)
        except ValueError as error:
            raise IndexError(f"rows and columns: {error}") from None
        ours, theirs = (pair.flatten() for pair in pairs)
        decoded = zip(self._decoded(ours), _blocks(theirs, self._step), strict=True)
        found = np.concatenate([rows[np.arange(len(rows)), place] for rows, place in decoded])
        return found.reshape(pairs[0].shape)[()]

    def _decoded(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """Yields decoded rows, a few at a time; an empty array if there are none."""
        return map(self._table.decode, _blocks(numbers, self._step))

    @property
    def _step(self) -> int:
        return max(1, _NUMBERS_AT_ONCE // self._table.dim)

    def _numbers(self, rows: object) -> np.ndarray:
        """Returns non-negative row numbers, int64, in the shape of the index."""
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
        for rows in self.blocks():
            yield from rows

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields all rows, decoded in blocks, float32 ``(n, D)``."""
        return (rows for _, rows in self._table.blocks())

    def __array__(
        self, dtype: np.dtype | type | None = None, copy: bool | None = None
    ) -> np.ndarray:
        """Decodes the whole table, ``(N, D)``.

        Args:
            dtype: The dtype of the array; float32 by default.
            copy: False, for an array that shares memory, is refused: decoding makes a new one.

        Raises:
            ValueError: ``copy`` is False.
        """
        if copy is False:
            raise ValueError("decoding makes a new array; wanted copy=None or copy=True")
        return self._table.decode(slice(None)).astype(
            self.dtype if dtype is None else dtype, copy=False
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Computes with the decoded table, into new arrays only."""
        if any(isinstance(out, DecodedRows) for out in options.get("out", ())):
            _refuse_writing()
        decoded = [np.asarray(one) if isinstance(one, DecodedRows) else one for one in inputs]
        return getattr(ufunc, method)(*decoded, **options)

    def __getattr__(self, name: str) -> Any:
        """Returns an array's attribute, taken from the decoded table."""
        if name not in _OF_ARRAYS:
            raise AttributeError(
                f"no {name!r} on decoded rows, which are read-only; numpy.asarray of them is an "
                "ordinary array"
            )
        return getattr(np.asarray(self), name)

    def __setitem__(self, rows: object, values: object) -> NoReturn:
        """Refuses assignment."""
        _refuse_writing()

    def __repr__(self) -> str:
        return f"<DecodedRows of shape {self.shape}, float32, decoded on demand>"


def _refuse_writing() -> NoReturn:
    raise InputError(
        "decoded rows are read-only; numpy.asarray(emb.vectors) makes a writable copy, and "
        "emb.add(words, vectors) returns a table with more rows"
    )


def _rows_and_columns(indices: Sequence) -> tuple[Any, Any]:
    """Returns the index of rows and that of columns from a tuple that may omit either."""
    given = list(indices)
    ellipses = [place for place, one in enumerate(given) if one is Ellipsis]
    if len(ellipses) > 1 or len(given) - len(ellipses) > 2 or any(one is None for one in given):
        raise IndexError(f"{len(given)} indices; {_WANTED}")
    place = ellipses[0] if ellipses else len(given)
    missing = [slice(None)] * (2 - (len(given) - len(ellipses)))
    rows, columns = given[:place] + missing + given[place + 1 :]
    return rows, columns


def _blocks(numbers: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """Cuts an array into pieces, at least one."""
    return (numbers[first : first + step] for first in range(0, max(1, len(numbers)), step))
