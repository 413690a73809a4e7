"""Rows of Parquet files: a column of lists of numbers, all of one length.

A file is read in batches, so that memory holds a batch and not a row group, which may be the whole
file. Reading forward continues where the reader was; going back reads the row group again from its
beginning.
"""

from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.sources.places import LocalPlace, Place, import_scale, reading

SUFFIXES = (".parquet", ".pq")
_BATCH_BYTES = 4 << 20
_BUFFER_BYTES = 1 << 20
_BATCH_WORDS = 1 << 16
_MOST_NAMED = 12


def parquet_files(place: Place) -> list[Place]:
    """Returns a Parquet file itself, or the files of a directory in the order of their names.

    Returns:
        The files; an empty list if the place is neither.
    """
    if place.basename.endswith(SUFFIXES) and not place.is_dir():
        return [place]
    if not place.is_dir():
        return []
    found = [file for suffix in SUFFIXES for file in place.inside(f"*{suffix}")]
    return sorted(
        (file for file in found if file.basename[0] not in "._"), key=lambda file: file.basename
    )


class ParquetRows:
    """The vectors of a file.

    Args:
        place: The file.
        tensor: The column's name; None: the only one whose entries are lists of floating-point
            numbers.

    Raises:
        InputError: There is no such column, or more than one, or it has no rows; or PyArrow cannot
            read the file or is not installed.
    """

    def __init__(self, place: Place, tensor: str | None) -> None:
        self._place = place
        self._file = _open(place)
        kind = _vector_column(self._file, place.name, tensor)
        self.name = f"{place.name}, column {kind.name!r}"
        self.num_rows = self._file.metadata.num_rows
        if not self.num_rows:
            raise InputError(f"{self.name} is empty; wanted at least one row")
        self._dtype = np.dtype(kind.type.value_type.to_pandas_dtype())
        self.dim = 0
        with reading(self.name):
            first = next(_Reader(self._file, kind.name, 1).slices(0, 1))[1]
            length = first.type.list_size if hasattr(first.type, "list_size") else None
            self.dim = len(first.flatten()) if length is None else length
        if not self.dim:
            raise InputError(f"{self.name} has no vector in row 0; wanted at least one column")
        size = max(1, _BATCH_BYTES // (self.dim * self._dtype.itemsize))
        self._column, self._batch_rows = kind.name, size
        self._reader, self._lock = _Reader(self._file, kind.name, size), Lock()

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1`` as they are stored."""
        rows = np.empty((last - first, self.dim), self._dtype)
        with self._lock, reading(self.name):
            for start, column in self._reader.slices(first, last):
                rows[start - first : start - first + len(column)] = self._numbers(column, start)
        return rows

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their ascending numbers."""
        taken = np.empty((len(rows), self.dim), self._dtype)
        with self._lock, reading(self.name):
            reader = _Reader(self._file, self._column, self._batch_rows)
            done = 0
            while done < len(rows):
                first = int(rows[done])
                start, column = next(
                    reader.slices(first, min(first + self._batch_rows, self.num_rows))
                )
                end = int(np.searchsorted(rows, start + len(column)))
                last = int(rows[end - 1]) + 1
                numbers = self._numbers(column.slice(0, last - start), start)
                taken[done:end] = numbers[rows[done:end] - start]
                done = end
        return taken

    def files(self) -> list[dict[str, object]]:
        """Returns what identifies each file."""
        return [{**self._place.identity(), "part": self._column}]

    def _numbers(self, column: Any, first: int) -> np.ndarray:
        """Returns a part of the column, beginning with row ``first``, as vectors ``(n, D)``."""
        if column.null_count:
            row = first + int(np.argmin(column.is_valid().to_numpy(zero_copy_only=False)))
            raise InputError(f"{self.name} has null in row {row}; wanted a vector in each row")
        numbers = column.flatten()
        if not hasattr(column.type, "list_size"):
            lengths = column.value_lengths().to_numpy(zero_copy_only=False)
            if (lengths != self.dim).any():
                index = int(np.argmax(lengths != self.dim))
                raise InputError(
                    f"{self.name} has {lengths[index]} numbers in row {first + index}, but "
                    f"{self.dim} in row 0; wanted vectors of one length"
                )
        if numbers.null_count:
            valid = numbers.is_valid().to_numpy(zero_copy_only=False)
            row, number = divmod(int(np.argmin(valid)), self.dim)
            raise InputError(
                f"{self.name} has null in row {first + row}, column {number} (counted from 0); "
                "wanted numbers"
            )
        return numbers.to_numpy(zero_copy_only=False).reshape(len(column), self.dim)


class ParquetWords:
    """The words in a column of strings.

    Args:
        place: The file.
        column: The column's name.

    Raises:
        InputError: PyArrow cannot read the file or is not installed.
    """

    def __init__(self, place: Place, column: str) -> None:
        self._name, self._lock = place.name, Lock()
        self._place, self._column = place, column
        self._file = _open(place)
        self._reader = _Reader(self._file, column, _BATCH_WORDS)

    def __len__(self) -> int:
        return self._file.metadata.num_rows

    def identity(self) -> object:
        """Returns what identifies the column."""
        return [self._column, self._place.identity()]

    def read(self, first: int, last: int) -> list[str | None]:
        """Returns the words of the rows ``first ... last-1``; None for null."""
        with self._lock, reading(self._name):
            slices = self._reader.slices(first, last)
            return [word for _, column in slices for word in column.to_pylist()]


def has_words(place: Place, column: str) -> bool:
    """Tells whether a file has a column of strings of this name."""
    types: Any = import_scale("pyarrow", place.name).types
    schema = _open(place).schema_arrow
    index = schema.get_field_index(column)
    if index < 0:
        return False
    kind = schema.field(index).type
    return types.is_string(kind) or types.is_large_string(kind)


class _Reader:
    """Reads a column forward, batch by batch."""

    def __init__(self, file: Any, column: str, batch_rows: int) -> None:
        self._file, self._column, self._batch_rows = file, column, batch_rows
        metadata = file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._group, self._batches = -1, iter(())
        self._start, self._batch = 0, ()  # the first row of the batch read last, and the batch

    def slices(self, first: int, last: int) -> Iterator[tuple[int, Any]]:
        """Yields the parts of the column from ``first`` to ``last``, each with its first row."""
        while first < last:
            if not self._start <= first < self._start + len(self._batch):
                self._seek(first)
            begin = first - self._start
            column = self._batch[begin : begin + last - first]
            yield first, column
            first += len(column)

    def _seek(self, row: int) -> None:
        """Reads forward to the batch with a row, if needed from the beginning of its row group."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        if group != self._group or row < self._start:
            self._batches = self._file.iter_batches(
                self._batch_rows, row_groups=[group], columns=[self._column], use_threads=False
            )
            self._group, self._start, self._batch = group, int(self._starts[group]), ()
        while row >= self._start + len(self._batch):
            self._start += len(self._batch)
            self._batch = ()
            self._batch = next(self._batches).column(0)


def _open(place: Place) -> Any:
    parquet = import_scale("pyarrow.parquet", place.name)
    if not place.is_file():
        place.num_bytes()  # raises an error that says what it is instead
    with reading(place.name):
        return parquet.ParquetFile(
            place.name if isinstance(place, LocalPlace) else place.open(),
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
        )


def _vector_column(file: Any, name: str, tensor: str | None) -> Any:
    """Returns the field of the column that holds vectors."""
    types: Any = import_scale("pyarrow", name).types
    with reading(name):
        schema = file.schema_arrow
    lists = (types.is_fixed_size_list, types.is_list, types.is_large_list)
    found = [
        field
        for field in schema
        if any(is_list(field.type) for is_list in lists)
        and types.is_floating(field.type.value_type)
    ]
    if tensor is not None:
        chosen = [field for field in found if field.name == tensor]
        if len(chosen) == 1:
            return chosen[0]
        seen = f"no column {tensor!r} of vectors"
    elif len(found) == 1:
        return found[0]
    else:
        seen = f"{len(found)} columns of vectors"
    names = ", ".join(field.name for field in found[:_MOST_NAMED])
    others = ", ".join(f"{field.name}: {field.type}" for field in list(schema)[:_MOST_NAMED])
    raise InputError(
        f"{name} has {seen}; "
        + (
            f"name one of {names} with --tensor"
            if found
            else f"it has {others}; wanted lists of floating-point numbers, all of one length"
        )
    )
