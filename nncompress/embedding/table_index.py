"""The inverted file of a table, in memory or beside the table's file, opened when it is needed."""

import os
from pathlib import Path

from nncompress.embedding.index_file import beside, read_index, write_index
from nncompress.embedding.inverted_file import HOW, InvertedFile
from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError


class TableIndex:
    """The index of a table, if there is one.

    Args:
        table: The table.
        path: The table's file; None for a table that is in memory alone.
        verify: Whether to compare the index, if there is one, with its SHA-256 sums at once.
        copy: Whether to read all of it into memory instead of mapping it.

    Raises:
        FormatError: ``verify`` is set, and the index is damaged.
    """

    def __init__(
        self,
        table: Table,
        path: str | os.PathLike | None = None,
        *,
        verify: bool = False,
        copy: bool = False,
    ) -> None:
        self._table = table
        self._path = None if path is None else Path(path)
        self._copy = copy
        self._index: InvertedFile | None = None
        if verify and path is not None and beside(path).exists():
            read_index(beside(path), verify=True)

    def get(self) -> InvertedFile:
        """Returns the index, after a check that it is this table's.

        Raises:
            InputError: There is none, or it is of another table.
            FormatError: Its file is no such file, or not complete.
        """
        if self._index is None:
            if self._path is None:
                raise InputError(
                    "probe is for a table with an index, and this table, which is in no file, has "
                    "none; call build_index(), or leave probe out for an exact search"
                )
            path = beside(self._path)
            if not path.exists():
                raise InputError(
                    f"probe is for a table with an index, and there is no {path}; make it {HOW}, "
                    "or leave probe out for an exact search"
                )
            index = read_index(path, copy=self._copy)
            index.refuse_other(self._table)
            self._index = index
        return self._index

    def build(self, path: str | os.PathLike | None, lists: int | None) -> InvertedFile:
        """Makes the index, and writes it beside the table's file, if there is one.

        Args:
            path: The table's file; None for the one it was opened from.
            lists: The number of lists, or None.

        Raises:
            InputError: There cannot be that many lists.
            OutputError: It cannot be written.
        """
        from nncompress.embedding.index_building import build_index
        from nncompress.formats.files import check_output

        path = self._path if path is None else path
        if path is not None:
            check_output(beside(path))
        index = build_index(self._table, lists)
        if path is not None:
            write_index(beside(path), index)
        self._index = index
        return index
