"""Rewriting a safetensors file with some tensors removed and others added."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.formats.files import atomic_path
from nncompress.formats.safetensors import Header, map_tensors, read_header

_WHAT = "a safetensors file"
_CHUNK = 8 << 20
_ALIGNMENT = 64


@dataclass(frozen=True)
class NewTensor:
    """A tensor to write.

    Attributes:
        dtype: Its type, by its name in safetensors.
        shape: Its shape.
        num_bytes: Its number of bytes.
        parts: Its bytes in parts, which are read once.
    """

    dtype: str
    shape: tuple[int, ...]
    num_bytes: int
    parts: Iterable[bytes | memoryview]


def new_tensor(dtype: str, array: np.ndarray) -> NewTensor:
    """Returns an array as a tensor to write; ``dtype`` is the name of its type in safetensors."""
    array = np.ascontiguousarray(array)
    parts = [array.data.cast("B")] if array.size else []
    return NewTensor(dtype, array.shape, array.nbytes, parts)


def copied_tensor(path: Path, name: str) -> NewTensor:
    """Returns a tensor of a file, to be written to another.

    Raises:
        FormatError: The file is damaged.
    """
    file = map_tensors(path, _WHAT)
    return new_tensor(file.dtypes[name], file.tensors[name])


def header_of(path: Path) -> Header:
    """Reads the header of a safetensors file.

    Raises:
        FormatError: The file is of another kind or truncated.
    """
    with path.open("rb") as file:

        def read(first: int, last: int) -> bytes:
            file.seek(first)
            return file.read(last - first)

        return read_header(read, path.stat().st_size, str(path), _WHAT)


def rewrite_tensors(
    source: Path, destination: Path, without: Iterable[str], new: Mapping[str, NewTensor]
) -> int:
    """Copies a safetensors file, leaving some tensors out and adding others at its end.

    Args:
        source: The file.
        destination: The file to write.
        without: The tensors to leave out.
        new: The tensors to add, by name; those with wider types first.

    Returns:
        The number of bytes by which the tensors grew; negative if they shrank.

    Raises:
        FormatError: The file is of another kind or truncated.
        OutputError: The destination cannot be written.
    """
    header, left_out = header_of(source), set(without)
    kept = {name: tensor for name, tensor in header.tensors.items() if name not in left_out}
    kept = dict(sorted(kept.items(), key=lambda item: item[1].first))
    entries: dict[str, object] = {"__metadata__": header.metadata} if header.metadata else {}
    place = 0
    for name, tensor in kept.items():
        entries[name] = _entry(tensor.dtype, tensor.shape, place, tensor.num_bytes)
        place += tensor.num_bytes
    for name, added in new.items():
        entries[name] = _entry(added.dtype, added.shape, place, added.num_bytes)
        place += added.num_bytes
    text = json.dumps(entries, separators=(",", ":")).encode("ascii")
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    with atomic_path(destination) as temporary, temporary.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        with source.open("rb") as file:
            for tensor in kept.values():
                file.seek(tensor.first)
                for done in range(0, tensor.num_bytes, _CHUNK):
                    out.write(file.read(min(_CHUNK, tensor.num_bytes - done)))
        for added in new.values():
            out.writelines(added.parts)
    return place - sum(tensor.num_bytes for tensor in header.tensors.values())


def _entry(dtype: str, shape: tuple[int, ...], place: int, num_bytes: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + num_bytes]}
