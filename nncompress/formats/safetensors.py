"""Files in safetensors' layout: named arrays after a JSON header, mapped, not copied.

The layout is that of the safetensors project: the header's length as a little-endian uint64, a
JSON object that gives each tensor's type, shape and place, and the tensors' bytes, which fill the
rest of the file without gaps. Nothing in such a file is code.
"""

import json
import math
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.errors import FormatError, InputError
from nncompress.formats.files import atomic_path
from nncompress.formats.parts import Parts, pieces

# The longest header that is read; a tensor takes about a hundred bytes of it.
_MOST_HEADER_BYTES = 8 << 20
_ALIGNMENT = 64
_DTYPES = {
    **{"BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4"},
    **{"I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"},
    "BF16": "<u2",  # NumPy has no such type: the upper halves of float32 numbers
}
_BYTES = ("F8_E4M3", "F8_E5M2")  # nor these types: bytes that stand for numbers
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items() if name != "BF16"}


@dataclass(frozen=True)
class TensorFile:
    """The contents of a file.

    Attributes:
        metadata: Strings by name.
        tensors: Arrays by name, mapped from the file and read-only.
        dtypes: The layout's name for the type of each tensor. A BF16 tensor is an array of uint16;
            a tensor of any other type that NumPy lacks has no array.
        header: Number of bytes before the tensors.
    """

    metadata: dict[str, str]
    tensors: dict[str, np.ndarray]
    dtypes: dict[str, str]
    header: int


def map_tensors(
    path: str | os.PathLike, what: str = "a safetensors file", *, copy: bool = False
) -> TensorFile:
    """Maps a file. Its header is checked against its size before anything else is read.

    Args:
        path: The file. While it is mapped, it may be replaced or removed; but if it is truncated,
            the operating system kills a process that reads past the new end (SIGBUS).
        what: Name of the expected kind of file, for messages.
        copy: Whether to read the whole file into memory instead, so that later changes to it do
            not matter.

    Raises:
        InputError: There is no such file.
        FormatError: The file is not in this layout, or incomplete.
    """
    path = Path(path)
    if not path.is_file():
        seen = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {seen}; wanted {what}")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:  # an empty file cannot be mapped
            raise FormatError(f"{path} is empty; wanted {what}")
        buffer: bytes | mmap.mmap
        if copy:
            buffer = file.read(size)
        else:
            buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    return read_tensors(buffer, str(path), what)


def read_tensors(buffer: bytes | memoryview | mmap.mmap, name: str, what: str) -> TensorFile:
    """Reads the bytes of a file; the arrays share them.

    Args:
        buffer: The bytes.
        name: Their origin, for messages.
        what: Name of the expected kind of file, for messages.

    Raises:
        FormatError: They are not in this layout, or incomplete.
    """
    header = read_header(lambda first, last: bytes(buffer[first:last]), len(buffer), name, what)
    dtypes, tensors = {}, {}
    for key, tensor in header.tensors.items():
        dtypes[key] = tensor.dtype
        if tensor.dtype in _DTYPES:
            code, count = np.dtype(_DTYPES[tensor.dtype]), math.prod(tensor.shape)
            flat = np.frombuffer(buffer, code, count, tensor.first)
            tensors[key] = flat.reshape(tensor.shape)
    return TensorFile(header.metadata, tensors, dtypes, header.num_bytes)


@dataclass(frozen=True)
class Tensor:
    """A tensor as the header describes it.

    Attributes:
        dtype: Its type, by the layout's name.
        shape: Its shape.
        first: The start of its bytes in the file.
        num_bytes: The number of its bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    first: int
    num_bytes: int


@dataclass(frozen=True)
class Header:
    """The part of a file before the tensors.

    Attributes:
        metadata: Strings by name.
        tensors: The tensors by name.
        num_bytes: Its own size.
    """

    metadata: dict[str, str]
    tensors: dict[str, Tensor]
    num_bytes: int


def read_header(
    read: Callable[[int, int], bytes | bytearray], size: int, name: str, what: str
) -> Header:
    """Reads the header of a file and checks it against the file's size, reading nothing else.

    Args:
        read: Returns the bytes of the file from a start up to an end.
        size: The number of bytes in the file.
        name: Their origin, for messages.
        what: Name of the expected kind of file, for messages.

    Raises:
        FormatError: They are not in this layout, or incomplete.
    """
    if size < 8:
        raise FormatError(f"{name} has only {size} bytes; wanted {what}")
    start = read(0, min(size, 9))
    length = int.from_bytes(start[:8], "little")
    if length > min(size - 8, _MOST_HEADER_BYTES) or start[8:] != b"{":
        raise FormatError(
            f"{name} does not begin with the length of a header and the header; wanted {what}"
        )
    try:
        header = json.loads(read(8, 8 + length).decode("utf-8"))
    except (ValueError, RecursionError):
        raise FormatError(f"{name} has a header that is not JSON; wanted {what}") from None
    try:
        return _checked(header, 8 + length, size)
    except _HeaderError as error:
        raise FormatError(f"{name}: {error}; wanted {what} that is complete") from None


class _HeaderError(Exception):
    """A fault in a header."""


def _checked(header: dict, first: int, size: int) -> Header:
    metadata = header.pop("__metadata__", {})
    if not (isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())):
        raise _HeaderError("the header's metadata are not strings")
    tensors, places = {}, []
    for name, entry in header.items():
        dtype, shape, (begin, end) = _entry(name, entry)
        places.append((begin, end))
        known = dtype in _DTYPES or dtype in _BYTES
        code = np.dtype(_DTYPES.get(dtype, "u1"))
        fits = not known or end - begin == math.prod(shape) * code.itemsize
        if not fits or not begin <= end <= size - first or max(shape, default=0) > size:
            raise _HeaderError(
                f"tensor {name!r} of shape {tuple(shape)} and type {dtype} claims bytes {begin} "
                f"to {end} of {size - first}"
            )
        tensors[name] = Tensor(dtype, tuple(shape), first + begin, end - begin)
    reached = 0
    for begin, end in sorted(places):
        if begin != reached:
            raise _HeaderError(f"tensors overlap or leave a gap at byte {reached}")
        reached = end
    if reached != size - first:
        raise _HeaderError(f"the tensors end at byte {reached} of {size - first}")
    return Header(metadata, tensors, first)


def _entry(name: str, entry: object) -> tuple[str, list[int], list[int]]:
    """Returns the type, shape and place of a tensor, as given in the header."""
    if not isinstance(entry, dict):
        raise _HeaderError(f"tensor {name!r} has no description")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str):
        raise _HeaderError(f"tensor {name!r} has the unknown type {dtype!r}")
    shape, place = (_sizes(name, entry.get(key)) for key in ("shape", "data_offsets"))
    if len(place) != 2 or len(shape) > 32:
        raise _HeaderError(f"tensor {name!r} has a shape or place of the wrong length")
    return dtype, shape, place


def _sizes(name: str, numbers: object) -> list[int]:
    """Checks a list of sizes and returns it."""
    if not isinstance(numbers, list) or not all(
        type(number) is int and 0 <= number < 1 << 63 for number in numbers
    ):
        raise _HeaderError(f"tensor {name!r} has a shape or place that is not a list of sizes")
    return numbers


def write_tensors(
    path: str | os.PathLike,
    tensors: Mapping[str, np.ndarray | Parts],
    metadata: Mapping[str, str],
) -> None:
    """Writes a file, the same bytes for the same arguments.

    Args:
        path: The file.
        tensors: Arrays by name, whole or in parts, in the order in which they are stored. Those
            with larger elements have to come first, so that all are aligned. The first begins at a
            multiple of 64.
        metadata: Strings by name.
    """
    parts = tensor_bytes(tensors, metadata)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.writelines(parts)


def tensor_bytes(
    tensors: Mapping[str, np.ndarray | Parts], metadata: Mapping[str, str]
) -> list[bytes | memoryview]:
    """Returns the bytes of a file, in parts; the arguments are those of ``write_tensors``."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    place = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > _MOST_HEADER_BYTES:
        raise InputError(
            f"the file's header would have {len(text)} bytes; wanted at most "
            f"{_MOST_HEADER_BYTES}: keep less in the metadata"
        )
    return [
        len(text).to_bytes(8, "little") + text,
        *(piece for array in tensors.values() for piece in pieces(array)),
    ]
