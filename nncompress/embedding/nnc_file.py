"""The file of a compressed embedding, ``.nnc``: see docs/file-format.md, which has every byte."""

import hashlib
import json
import os
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.packing import Packing, bits_for
from nncompress.embedding.vocabulary import SECTIONS, Vocabulary
from nncompress.errors import FormatError, InputError
from nncompress.formats.safetensors import map_tensors, write_tensors

FORMAT = "nncompress"
FORMAT_VERSION = 1
_WHAT = "a compressed embedding (.nnc)"
_PREFIX = "vocabulary."


@dataclass(frozen=True)
class Contents:
    """The contents of a file.

    Attributes:
        table: Codes and codebook.
        vocabulary: The words, or None.
        provenance: Facts of how the table was made: JSON values by name.
    """

    table: CodeTable
    vocabulary: Vocabulary | None
    provenance: dict[str, object]


def write_nnc(path: str | os.PathLike, contents: Contents) -> None:
    """Writes a file, the same bytes for the same contents."""
    table, vocabulary = contents.table, contents.vocabulary
    words = {} if vocabulary is None else vocabulary.sections
    tensors = {"codebook": table.codebook, "codes": table.packed}
    tensors |= {_PREFIX + name: words[name] for name in SECTIONS if words}
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    numbers = {
        "format_version": FORMAT_VERSION,
        "num_codebooks": table.num_codebooks,
        "num_codewords": table.num_codewords,
        "num_words": 0 if vocabulary is None else len(vocabulary),
    }
    metadata = {
        "format": FORMAT,
        **{name: str(number) for name, number in numbers.items()},
        "provenance": _as_json(contents.provenance),
        "sha256": json.dumps({name: _sha256(array) for name, array in tensors.items()}),
    }
    write_tensors(path, tensors, metadata)


def read_nnc(path: str | os.PathLike, *, verify: bool = False, copy: bool = False) -> Contents:
    """Opens a file. Its sections are mapped, and not read.

    Args:
        path: The file.
        verify: Whether to compare the sections with their SHA-256 sums, for which all are read.
        copy: Whether to read all of it into memory instead of mapping it.

    Raises:
        InputError: There is no such file.
        FormatError: It is no such file, of another version, not complete, or altered.
    """
    if os.fspath(path).endswith((".codes", ".codebook.npy")):
        raise FormatError(
            f"{path} is by its name one of the two files of a table in text; wanted {_WHAT}: make "
            "one of both with: nncompress import"
        )
    file = map_tensors(path, _WHAT, copy=copy)
    metadata, tensors = file.metadata, file.tensors
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{path} is a safetensors file of another kind; wanted {_WHAT}")
    try:
        if _number(metadata, "format_version", 0, 1 << 31) != FORMAT_VERSION:
            raise FormatError(
                f"format version {metadata['format_version']}, and this release reads version "
                f"{FORMAT_VERSION}; upgrade chainer-nncompress, or make the file again"
            )
        contents = Contents(
            _table(metadata, tensors), _vocabulary(metadata, tensors), _provenance(metadata)
        )
        if verify:
            _verify(metadata, tensors)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    return contents


def _table(metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> CodeTable:
    num_codebooks = _number(metadata, "num_codebooks", 1, 1 << 31)
    num_codewords = _number(metadata, "num_codewords", 2, 1 << 16)
    codebook = _section(tensors, "codebook", 2, ("f2", "f4"))
    packed = _section(tensors, "codes", 2, ("u1",))
    row_bytes = Packing(num_codebooks, bits_for(num_codewords)).row_bytes
    if len(codebook) != num_codebooks * num_codewords or packed.shape[1] != row_bytes:
        raise FormatError(
            f"codes of shape {packed.shape} and a codebook of shape {codebook.shape}; wanted "
            f"{row_bytes} columns and {num_codebooks * num_codewords} rows for "
            f"M={num_codebooks}, K={num_codewords}"
        )
    return CodeTable(packed, codebook, num_codebooks)


def _vocabulary(metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> Vocabulary | None:
    num_rows = len(tensors["codes"])
    num_words = _number(metadata, "num_words", 0, num_rows)
    if not any(name.startswith(_PREFIX) for name in tensors):
        return None
    sections = {
        name: _section(tensors, _PREFIX + name, 1, ("u4" if name == "offsets" else "u1",))
        for name in SECTIONS
    }
    return Vocabulary(sections, num_words, num_rows)


def _section(
    tensors: dict[str, np.ndarray], name: str, dimensions: int, kinds: tuple[str, ...]
) -> np.ndarray:
    """Returns a section after a check of its type and its number of dimensions."""
    if name not in tensors:
        raise FormatError(f"there is no section {name!r}")
    array = tensors[name]
    if array.ndim != dimensions or array.dtype.str[1:] not in kinds:
        raise FormatError(f"section {name!r} has type {array.dtype} and shape {array.shape}")
    if dimensions == 2 and array.size == 0:
        raise FormatError(f"section {name!r} is empty")
    if not array.flags.aligned:
        raise FormatError(f"section {name!r} does not begin at a multiple of its numbers' size")
    return array


def _number(metadata: dict[str, str], name: str, least: int, most: int) -> int:
    text = metadata.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise FormatError(f"{name} is {text[:40]!r}; wanted a number")
    if not least <= int(text) <= most:
        raise FormatError(f"{name} is {text}; wanted {least} to {most}")
    return int(text)


def _provenance(metadata: dict[str, str]) -> dict[str, object]:
    return _json_object(metadata, "provenance")


def _json_object(metadata: dict[str, str], name: str) -> dict[str, object]:
    try:
        # What is not finite is no JSON, though Python's reader and writer have names for it.
        value = json.loads(metadata.get(name, "{}"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise FormatError(f"{name} is not a JSON object")
    return value


def _as_json(provenance: dict[str, object]) -> str:
    try:
        return json.dumps(provenance, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the provenance is not what JSON can hold: {error}") from None


def _verify(metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> None:
    sums = _json_object(metadata, "sha256")
    for name, array in tensors.items():
        if sums.get(name) != _sha256(array):
            raise FormatError(
                f"section {name!r} is not what was written: its SHA-256 sum differs; get the file "
                "again"
            )


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()
