"""Rows of an array in an ``.npz`` file, and words of another one beside it."""

import warnings
from collections.abc import Callable, Container, Mapping
from pathlib import Path

import numpy as np

from nncompress.errors import FormatError, InputError
from nncompress.formats.npy import Header
from nncompress.formats.npz import NpzFile
from nncompress.sources.conversion import check_room, naming
from nncompress.sources.places import LocalPlace
from nncompress.sources.row_words import ListWords
from nncompress.sources.stored.interface import Opened
from nncompress.sources.stored.npy import npy_rows

SUFFIX = ".npz"
_WHAT = "vectors"
_MOST_NAMED = 12


def npz_rows(
    place: LocalPlace, tensor: str | None, column: str | None, scratch: Path
) -> Callable[[], Opened]:
    """Unpacks an array of an ``.npz`` file to a temporary ``.npy`` file.

    Args:
        place: The file.
        tensor: The array's name; None: the only one that is a matrix of floating-point numbers.
        column: A name that may be that of an array of words. Without it, the words are the only
            one-dimensional array of text with an entry for each row, if there is one.
        scratch: The directory for the temporary file.

    Returns:
        A function that opens rows and words.

    Raises:
        InputError: The array has to be named, or is not a matrix of floating-point numbers, or
            there is no room for it.
        FormatError: The file is damaged, or is not an ``.npz`` file.
    """
    matrix = scratch / "matrix.npy"
    with NpzFile(place.path, _WHAT) as file:
        headers, refused = _headers(file, {tensor, column})
        name = _chosen(place.name, headers, tensor)
        check_room(headers[name].data_bytes, place.name, scratch.parent)
        with naming(matrix), matrix.open("wb") as output:
            for block in file.blocks(name):
                output.write(block)
        words = _words(file, headers, column, headers[name].shape[0])
    if words is None and refused:
        warnings.warn(
            f"{refused[0]}; the array is passed over. If it holds the words, save them as "
            "numpy.array(words, dtype=str)",
            stacklevel=2,
        )

    def opened() -> Opened:
        rows = npy_rows(LocalPlace(matrix), place)
        return Opened(rows, None if words is None else ListWords(words), column in headers)

    return opened


def _headers(
    file: NpzFile, asked: Container[str | None]
) -> tuple[dict[str, Header], list[FormatError]]:
    """Returns the headers of all arrays of numbers or text, and why others are not read.

    Args:
        file: The file.
        asked: The names that were asked for.

    Raises:
        FormatError: An array that was asked for, or each of them, cannot be read.
    """
    headers, refused = {}, []
    for name in file:
        try:
            headers[name] = file.header(name)
        except FormatError as error:  # Python objects, such as settings, may lie beside the table
            if name in asked:
                raise
            refused.append(error)
    if refused and not headers:
        raise refused[0]
    return headers, refused


def _chosen(file: str, headers: Mapping[str, Header], tensor: str | None) -> str:
    described = ", ".join(
        f"{name[:99]} ({header.dtype}, {' x '.join(map(str, header.shape)) or 'one number'})"
        for name, header in list(headers.items())[:_MOST_NAMED]
    )
    matrices = [
        name
        for name, header in headers.items()
        if len(header.shape) == 2 and header.dtype.kind == "f"
    ]
    if tensor is None and len(matrices) == 1:
        return matrices[0]
    if tensor in matrices:
        return tensor
    wanted = "wanted a matrix of floating-point numbers"
    if tensor is not None:
        wanted = f"wanted one that is a matrix of floating-point numbers for {tensor!r}"
    elif matrices:
        wanted = "name the one with the vectors with --tensor"
    more = len(headers) - _MOST_NAMED
    raise InputError(
        f"{file} holds {described or 'no array'}{f', and {more} more' if more > 0 else ''}; "
        f"{wanted}"
    )


def _words(
    file: NpzFile, headers: Mapping[str, Header], column: str | None, num_rows: int
) -> list[str | None] | None:
    texts = [
        name
        for name, header in headers.items()
        if len(header.shape) == 1 and header.dtype.kind == "U"
    ]
    if column is not None and column in headers and column not in texts:
        header = headers[column]
        raise InputError(
            f"the array {column!r} holds {header.dtype} of shape {header.shape}; wanted words: "
            "text in one dimension"
        )
    if column is None:
        fitting = [name for name in texts if headers[name].shape == (num_rows,)]
        column = fitting[0] if len(fitting) == 1 else None
    if column is None or column not in texts:
        return None
    return _without_padding(file[column])


def _without_padding(words: np.ndarray) -> list[str | None]:
    try:
        return words.tolist()
    except (ValueError, UnicodeError):
        raise FormatError("the words are not text; wanted Unicode strings") from None
