"""The index of a table, in memory or beside the table's file, opened on first use."""

import os
from pathlib import Path

from nncompress.embedding.index_file import beside, read_index, write_index
from nncompress.embedding.inverted_file import HOW, InvertedFile
from nncompress.embedding.sharded_table import Table
from nncompress.errors import InputError


class TableIndex:
    """The index of a table, which may not exist yet.

    Args:
        table: The table.
        path: The table's file; None for a table that is only in memory.
        verify: Whether to compare an existing index with its SHA-256 sums right away.
        copy: Whether to read the whole index into memory instead of mapping it.

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
        """Checks that the index belongs to this table, and returns it.

        Raises:
            InputError: There is no index, or it belongs to another table.
            FormatError: Its file is of another kind, or incomplete.
        """
        if self._index is None:
            if self._path is None:
                raise InputError(
                    "probe needs an index, and this table, which is not in a file, has none; call "
                    "build_index(), or leave probe out for an exact search"
                )
            path = beside(self._path)
            if not path.exists():
                raise InputError(
                    f"probe needs an index, and {path} does not exist; make it {HOW}, "
                    "or leave probe out for an exact search"
                )
            index = read_index(path, copy=self._copy)
            index.refuse_other(self._table)
            self._index = index
        return self._index

    def build(self, path: str | os.PathLike | None, lists: int | None) -> InvertedFile:
        """Builds the index, and writes it beside the table's file, if there is one.

        Args:
            path: The table's file; None for the file it was opened from.
            lists: The number of lists, or None.

        Raises:
            InputError: The number of lists is out of range.
            OutputError: The index cannot be written.
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
