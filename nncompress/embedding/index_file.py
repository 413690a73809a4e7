"""The file of a table's index, ``.ivf``, beside the table's own file."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nncompress.embedding.inverted_file import HOW, InvertedFile
from nncompress.embedding.row_lists import RowLists
from nncompress.embedding.sections import check_sums, number, section, sums_of
from nncompress.errors import FormatError
from nncompress.formats.safetensors import map_tensors, write_tensors

FORMAT, FORMAT_VERSION = "nncompress inverted file", 1
_WHAT = "an index of a table (.ivf)"
_MOST_ROWS = 10**12 - 1


def beside(path: str | os.PathLike) -> Path:
    """Returns the path of the index that belongs to a table's file."""
    return Path(f"{os.fspath(path)}.ivf")


def write_index(path: str | os.PathLike, index: InvertedFile) -> None:
    """Writes an index, the same bytes for the same index."""
    lists = index.lists
    tensors = {
        "lengths": lists.lengths,
        "witnesses": index.witnesses,
        "centres": index.centres,
        "rows": lists.data,
    }
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "num_rows": str(lists.num_rows),
        "sha256": sums_of(tensors),
    }
    write_tensors(path, tensors, metadata)


def read_index(
    path: str | os.PathLike, *, verify: bool = False, copy: bool = False
) -> InvertedFile:
    """Opens an index, mapping its sections without reading them.

    Args:
        path: The file.
        verify: Whether to read all sections and compare them with their SHA-256 sums.
        copy: Whether to read the whole file into memory instead of mapping it.

    Raises:
        InputError: There is no such file.
        FormatError: The file is of another kind or version, incomplete, or altered.
    """
    file = map_tensors(path, _WHAT, copy=copy)
    metadata, tensors = file.metadata, file.tensors
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{path} is a safetensors file of another kind; wanted {_WHAT}")
    try:
        version = number(metadata, "format_version", 0, 1 << 31)
        if version != FORMAT_VERSION:
            raise FormatError(
                f"format version {version}, but this release reads version {FORMAT_VERSION}; "
                f"upgrade chainer-nncompress, or make the index again {HOW}"
            )
        index = _index(metadata, tensors, str(path))
        if verify:
            check_sums(metadata, tensors)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    return index


def _index(
    metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray], name: str
) -> InvertedFile:
    centres = section(tensors, "centres", (None, None), ("f2",))
    lengths = section(tensors, "lengths", (len(centres),), ("u4", "u8"))
    witnesses = section(tensors, "witnesses", (None, centres.shape[1]), ("f4",))
    rows = section(tensors, "rows", (None,), ("u1",))
    num_rows = number(metadata, "num_rows", 1, _MOST_ROWS)
    return InvertedFile(centres, RowLists(lengths, rows, num_rows), witnesses, name)
