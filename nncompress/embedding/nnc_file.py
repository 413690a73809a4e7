"""The file of a compressed embedding, ``.nnc``; docs/file-format.md specifies every byte."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from nncompress.embedding.access import Access
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import MODEL, ROWS, check_version, read_model
from nncompress.embedding.nnc_sections import (
    ADDITIVE,
    FORMAT,
    IN_PARTS,
    RESIDUAL,
    WITH_RESIDUAL,
    Metadata,
    Sections,
    as_json,
    extras_of,
    in_order,
    residual_sections,
    sections_of_extras,
    sections_of_table,
    sections_of_words,
    table_of,
    vocabulary_of,
)
from nncompress.embedding.residual_sections import NUMBERS_OF_ROWS, OF_ROWS, rows_of
from nncompress.embedding.residual_table import SingleTable, with_access
from nncompress.embedding.sections import check_sums, json_object, section, sums_of
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.errors import FormatError, InputError
from nncompress.formats.safetensors import (
    TensorFile,
    map_tensors,
    read_tensors,
    tensor_bytes,
    write_tensors,
)

WHAT = "a compressed embedding (.nnc)"
_ALIGNMENT = 8  # for the largest numbers in a file


@dataclass(frozen=True)
class Contents:
    """The contents of a file.

    Attributes:
        table: Codes and codebook, a residual stage, or both.
        vocabulary: The words, or None.
        provenance: Facts about how the table was made: JSON values by name.
        extras: Arrays that go with the rows, by name, such as weights.
    """

    table: SingleTable
    vocabulary: Vocabulary | None
    provenance: dict[str, object]
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_nnc(path: str | os.PathLike, contents: Contents) -> None:
    """Writes a file, the same bytes for the same contents.

    The file has version 1 if that can hold the table.
    """
    write_tensors(path, *_whole(contents))


def nnc_bytes(contents: Contents) -> list[bytes | memoryview]:
    """Returns the bytes of the file that ``write_nnc`` writes, in parts."""
    return tensor_bytes(*_whole(contents))


def _whole(contents: Contents) -> tuple[Sections, Metadata]:
    sections, numbers = sections_of_table(contents.table)
    return _all_sections(contents, sections, WITH_RESIDUAL if numbers else ADDITIVE, numbers)


def write_rows(
    path: str | os.PathLike, contents: Contents, model_name: str, model_digest: str
) -> None:
    """Writes a file of rows only, with their model in a file beside it.

    Args:
        path: The file.
        contents: The rows, in a table of that model.
        model_name: The name of the model's file.
        model_digest: The model's digest.
    """
    sections, numbers = sections_of_table(contents.table)
    of_rows = {"codes", *(RESIDUAL + name for name in OF_ROWS)}
    sections = {name: array for name, array in sections.items() if name in of_rows}
    numbers = {name: text for name, text in numbers.items() if name in NUMBERS_OF_ROWS}
    known = {"part": ROWS, "model": model_name, "model_digest": model_digest}
    write_tensors(path, *_all_sections(contents, sections, IN_PARTS, known | numbers))


def _all_sections(
    contents: Contents, sections: Sections, version: int, numbers: Metadata
) -> tuple[Sections, Metadata]:
    """Returns all sections of a file, in order, and its metadata."""
    table, vocabulary = contents.table, contents.vocabulary
    of_words = sections_of_words(vocabulary)
    sections = in_order(sections | of_words | sections_of_extras(contents.extras))
    return sections, {
        "format": FORMAT,
        "format_version": str(version),
        "num_codebooks": str(table.num_codebooks),
        "num_codewords": str(table.num_codewords),
        "num_words": str(0 if vocabulary is None else len(vocabulary)),
        **numbers,
        "provenance": as_json(contents.provenance),
        "sha256": sums_of(sections),
    }


def read_nnc(
    path: str | os.PathLike,
    *,
    verified: bool = False,
    copy: bool = False,
    model_of: Callable[[Path], tuple[Model, str]] | None = None,
    access: Access | None = None,
) -> Contents:
    """Opens a file, mapping its sections without reading them.

    Args:
        path: The file.
        verified: Whether to read all sections and compare them with their SHA-256 sums.
        copy: Whether to read the whole file into memory instead of mapping it.
        model_of: Returns the model in a file and its digest, for rows whose model is in a file of
            its own; None to read it here.
        access: The access to the file's rows; None to read them as from memory.

    Raises:
        InputError: There is no such file.
        FormatError: The file is of another kind or version, incomplete, or altered.
    """
    path = Path(path)
    if path.name.endswith((".codes", ".codebook.npy")):
        raise FormatError(
            f"{path} is, by its name, codes or a codebook; wanted {WHAT}: make one of both, "
            "with: nncompress import"
        )
    _refuse_other_files(path)
    file = map_tensors(path, WHAT, copy=copy)
    version = check_version(path, file, WHAT)
    if version == IN_PARTS and file.metadata.get("part") == MODEL:
        raise InputError(
            f"{path} is a model, which has no rows; encode rows with it, with: nncompress encode"
        )
    try:
        if version == IN_PARTS:
            table = _rows_of(path, file, model_of or partial(read_model, copy=copy))
        else:
            table = table_of(file.metadata, file.tensors, version)
        contents = _with_the_rest(table, file)
        if verified:
            check_sums(file.metadata, file.tensors)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    if access is not None and not copy:
        table = with_access(contents.table, access)
        access.begin(file.tensors.values())
        contents = replace(contents, table=table)
    return contents


def _refuse_other_files(path: Path) -> None:
    """Refuses a file that is, by its name and its first bytes, an original table.

    Raises:
        FormatError: It is such a file.
    """
    if path.suffix == ".nnc" or not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(9)
    if start and start[8:] != b"{":
        output = str(path.with_suffix(".nnc"))
        raise FormatError(
            f"{path} is not a compressed table (.nnc); compress it first: "
            f"nncompress.compress({str(path)!r}, {output!r})"
        )


def nnc_of_bytes(data: np.ndarray, name: str) -> Contents:
    """Opens the bytes of a whole file; the arrays share their memory.

    Args:
        data: uint8 ``(n,)``, contiguous; copied if they are not aligned for the numbers in them.
        name: Their origin, for messages.

    Raises:
        FormatError: The bytes are of another kind or version, incomplete, or altered.
    """
    if data.ctypes.data % _ALIGNMENT:
        data = data.copy()
    file = read_tensors(data.data, name, WHAT)
    version = check_version(Path(name), file, WHAT)
    try:
        if version == IN_PARTS:
            raise FormatError("the bytes are a part of a table; wanted a whole table")
        contents = _with_the_rest(table_of(file.metadata, file.tensors, version), file)
        check_sums(file.metadata, file.tensors)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None
    return contents


def _with_the_rest(table: SingleTable, file: TensorFile) -> Contents:
    """Returns a file's contents, given its table."""
    vocabulary = vocabulary_of(file.metadata, file.tensors, table.num_rows)
    provenance = json_object(file.metadata, "provenance")
    return Contents(table, vocabulary, provenance, extras_of(file.tensors))


def _rows_of(
    path: Path, file: TensorFile, model_of: Callable[[Path], tuple[Model, str]]
) -> SingleTable:
    """Returns the table of a file of rows whose model is in a file beside it."""
    metadata = file.metadata
    name = metadata.get("model", "")
    if name != os.path.basename(name) or not name:
        raise FormatError(f"the model's name is {name[:40]!r}; wanted that of a file beside it")
    model, digest = model_of(path.with_name(name))
    if metadata.get("model_digest") != digest:
        raise FormatError(
            f"its rows were not encoded with the model in {name}; put the model that they were "
            "encoded with beside them"
        )
    packed, residual = None, None
    if model.packing is not None:
        packed = section(file.tensors, "codes", (None, model.packing.row_bytes), ("u1",))
    if model.residual is not None:
        own = residual_sections(file.tensors)
        residual = rows_of(model.residual, own, metadata)
        if packed is not None and len(packed) != residual.num_rows:
            raise FormatError(f"codes of {len(packed)} rows, but residuals of {residual.num_rows}")
    return model.table(packed, residual)
