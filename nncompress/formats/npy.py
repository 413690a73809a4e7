"""NumPy's ``.npy`` files: writing row by row, and mapping after a check of the whole header.

The header is a Python literal with three entries. It is matched, never evaluated, and nothing is
unpickled.
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from nncompress.errors import FormatError, InputError

# Blocks of tokens, valid UTF-8, and their rows, float32 (n, D).
Rows = Iterator[tuple[list[bytes], np.ndarray]]
BLOCK_BYTES = 4 << 20
# More columns than any table has: a first line that promises more is not a header.
MOST_COLUMNS = 1 << 24
_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}  # by version
# The longest header that is read. NumPy writes 118 bytes for two dimensions, and itself reads at
# most 10,000.
_MOST_HEADER_BYTES = 10_000
MOST_PREFIX_BYTES = 8 + 4 + _MOST_HEADER_BYTES  # everything before the numbers
_MOST_DIMENSIONS = 32
_MOST_BYTES = 1 << 62
# Headers as NumPy and others write them: entries in any order, with either quote, and with the L
# of Python 2's long integers.
_VALUES = {
    "descr": r"""(?:'[^'"\\]*+'|"[^'"\\]*+")""",
    "fortran_order": r"(?:True|False)",
    "shape": r"\(\s*+(?:\d++L?\s*+(?:,\s*+|(?=\))))*+\)",
}
_ENTRY = re.compile(
    r"""\s*+(?P<quote>['"])(?P<name>\w++)(?P=quote)\s*+:\s*+(?P<value>"""
    + "|".join(_VALUES.values())
    + r")\s*+(?:,|(?=\}))"
)
_NUMBERS_AND_TEXT = re.compile(r"[<>=|]?(?:\?|b1|[iufc]\d{1,2}|[SU]\d{1,9})")


def write_npy(path: Path, rows: Rows, write_words: Callable[[bytes], object]) -> tuple[int, int]:
    """Writes rows to a ``.npy`` file as they arrive, holding one block in memory.

    Args:
        path: The file to write.
        rows: Blocks of tokens and rows, at least one.
        write_words: Takes the tokens of a block, bytes, each followed by a line break.

    Returns:
        ``(N, D)``.
    """
    num_rows = dim = 0
    with path.open("wb") as file:
        for tokens, values in rows:
            if not dim:
                dim = values.shape[1]
                _write_header(file, 0, dim)
            write_words(b"".join([token + b"\n" for token in tokens]))
            file.write(np.ascontiguousarray(values, dtype="<f4").data)
            num_rows += len(tokens)
        file.seek(0)
        _write_header(file, num_rows, dim)
    return num_rows, dim


def _write_header(file: IO[bytes], num_rows: int, dim: int) -> None:
    """Writes a header; NumPy keeps its length the same while the number of rows grows."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, dim)}
    np.lib.format.write_array_header_1_0(file, header)


@dataclass(frozen=True)
class Header:
    """The contents of an array's header.

    Attributes:
        shape: The array's shape.
        dtype: Numbers, booleans or text of a fixed length.
        fortran_order: Whether the first index changes fastest.
        num_bytes: Size of the header itself.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    num_bytes: int

    @property
    def data_bytes(self) -> int:
        """Size of the array's numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], name: object, what: str) -> Header:
    """Reads the header of an array, and leaves the file positioned at its numbers.

    Args:
        file: The file or stream.
        name: Its name, for messages.
        what: The expected content, for messages.

    Raises:
        FormatError: This is not the header of an array of numbers or text.
    """
    start = file.read(8)
    version = start[6:]
    if len(start) < 8 or start[:6] != _MAGIC or version not in _LENGTH_BYTES:
        raise FormatError(
            f"{name} is not a .npy file: it begins with {start!r}; wanted {what} saved by "
            "numpy.save"
        )
    field = file.read(_LENGTH_BYTES[version])
    length = int.from_bytes(field, "little")
    if length > _MOST_HEADER_BYTES:
        raise FormatError(
            f"{name} has a header of {length} bytes; wanted {what} saved by numpy.save, whose "
            f"header has at most {_MOST_HEADER_BYTES}"
        )
    text = file.read(length)
    if len(text) < length or not length:
        raise FormatError(f"{name} is not a .npy file: it ends in its header; wanted {what}")
    try:
        shape, dtype, fortran_order = _parse(text.decode("latin-1"))
    except _HeaderError as error:
        raise FormatError(
            f"{name} {error}; wanted {what} of numbers, saved by numpy.save"
        ) from None
    return Header(shape, dtype, fortran_order, 8 + len(field) + length)


class _HeaderError(Exception):
    """A fault in a header."""


def _parse(text: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    entries: dict[str, str] = {}
    text = text.strip()
    place = 1
    while match := _ENTRY.match(text, place):
        entries[match["name"]] = match["value"]
        place = match.end()
    well_formed = entries.keys() == _VALUES.keys() and all(
        re.fullmatch(_VALUES[name], value) for name, value in entries.items()
    )
    if not (text.startswith("{") and text[place:].strip() == "}" and well_formed):
        raise _HeaderError(f"has the header {text[:80]!r}, not that of an array of numbers")
    code = entries["descr"][1:-1]
    if code.lstrip("<>=|").startswith("O"):
        raise _HeaderError("holds Python objects")
    shape = tuple(int(digits) for digits in re.findall(r"\d+", entries["shape"][:2_000]))
    try:
        if not _NUMBERS_AND_TEXT.fullmatch(code):
            raise TypeError
        dtype = np.dtype(code)
    except (TypeError, ValueError):
        raise _HeaderError(f"holds elements of type {code[:40]!r}") from None
    # An array without elements may still have a shape too large for NumPy.
    size = math.prod(max(1, count) for count in shape) * dtype.itemsize
    if len(shape) > _MOST_DIMENSIONS or not 0 < size < _MOST_BYTES:
        raise _HeaderError(f"has the shape {entries['shape'][:80]} of {code}")
    return shape, dtype, entries["fortran_order"] == "True"


def map_npy(path: Path, what: str = "a matrix") -> np.ndarray:
    """Maps the array of a ``.npy`` file, read-only and never unpickled.

    Args:
        path: The file to map.
        what: The expected content, for messages.

    Returns:
        An array of numbers, booleans or text of a fixed length. Anything in the file after the
        array is ignored.

    Raises:
        InputError: The file is missing, or its name is invalid.
        FormatError: It is not a ``.npy`` file, is truncated, or holds Python objects or records.
    """
    with open_file(path, f"{what} in a .npy file") as file:
        header = read_header(file, path, what)
        size = os.fstat(file.fileno()).st_size
        if size - header.num_bytes < header.data_bytes:
            raise FormatError(
                f"{path} has {size:,} bytes, but an array of {header.dtype} {header.shape} takes "
                f"{header.num_bytes + header.data_bytes:,}; wanted {what} that is complete"
            )
        order: Literal["C", "F"] = "F" if header.fortran_order else "C"
        if header.data_bytes == 0:  # an empty array cannot be mapped
            return np.empty(header.shape, header.dtype, order)
        return np.memmap(file, header.dtype, "r", header.num_bytes, header.shape, order)


def open_file(path: Path, what: str) -> IO[bytes]:
    """Opens a regular file for reading.

    Args:
        path: The file.
        what: The expected content, for messages.

    Raises:
        InputError: There is no regular file of this name.
        OSError: It cannot be opened.
    """
    try:
        if path.is_file():
            return path.open("rb")
        seen = "does not exist"
        if path.exists():
            seen = "is a directory" if path.is_dir() else "is not a regular file"
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        seen = f"cannot be opened ({error.strerror})"
    raise InputError(f"{path} {seen}; wanted {what}")
