"""The file of a compressed embedding, ``.nnc``: see docs/file-format.md, which has every byte."""

import json
import os
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.packing import Packing, bits_for
from nncompress.embedding.quantized_matrix import BITS, QuantizedMatrix
from nncompress.embedding.residual_sections import metadata_of, residual_of, sections_of
from nncompress.embedding.residual_table import ResidualTable, Table
from nncompress.embedding.sections import check_sums, json_object, number, section, sums_of
from nncompress.embedding.vocabulary import SECTIONS, Vocabulary
from nncompress.errors import FormatError, InputError
from nncompress.formats.safetensors import map_tensors, write_tensors

FORMAT = "nncompress"
ADDITIVE, WITH_RESIDUAL = FORMAT_VERSIONS = (1, 2)
_WHAT = "a compressed embedding (.nnc)"
_WORDS, _RESIDUAL = "vocabulary.", "residual."


@dataclass(frozen=True)
class Contents:
    """The contents of a file.

    Attributes:
        table: Codes and codebook, a residual stage, or both.
        vocabulary: The words, or None.
        provenance: Facts of how the table was made: JSON values by name.
    """

    table: Table
    vocabulary: Vocabulary | None
    provenance: dict[str, object]


def write_nnc(path: str | os.PathLike, contents: Contents) -> None:
    """Writes a file, the same bytes for the same contents.

    It is of version 1 where that can hold the table.
    """
    table, vocabulary = contents.table, contents.vocabulary
    tensors: dict[str, np.ndarray] = {}
    numbers: dict[str, str] = {}
    additive = table.additive if isinstance(table, ResidualTable) else table
    if additive is not None:
        stored = additive.stored_codebook
        if isinstance(stored, QuantizedMatrix):
            tensors |= {"codebook": stored.packed, "codebook_scales": stored.scales}
            numbers |= {"codebook_bits": str(stored.bits), "num_columns": str(table.dim)}
        else:
            tensors["codebook"] = stored
        tensors["codes"] = additive.packed
    if isinstance(table, ResidualTable):
        kept = sections_of(table.residual)
        tensors |= {_RESIDUAL + name: array for name, array in kept.items()}
        numbers |= metadata_of(table.residual)
    words = {} if vocabulary is None else vocabulary.sections
    tensors |= {_WORDS + name: words[name] for name in SECTIONS if words}
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    metadata = {
        "format": FORMAT,
        "format_version": str(WITH_RESIDUAL if numbers else ADDITIVE),
        "num_codebooks": str(table.num_codebooks),
        "num_codewords": str(table.num_codewords),
        "num_words": str(0 if vocabulary is None else len(vocabulary)),
        **numbers,
        "provenance": _as_json(contents.provenance),
        "sha256": sums_of(tensors),
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
        version = number(metadata, "format_version", 0, 1 << 31)
        if version not in FORMAT_VERSIONS:
            raise FormatError(
                f"format version {version}, and this release reads versions "
                f"{ADDITIVE} and {WITH_RESIDUAL}; upgrade chainer-nncompress, or make the file "
                "again"
            )
        if version == ADDITIVE:
            table: Table = _additive(metadata, tensors, _plain_codebook(tensors))
        else:
            table = _table(metadata, tensors)
        vocabulary = _vocabulary(metadata, tensors, table.num_rows)
        contents = Contents(table, vocabulary, _provenance(metadata))
        if verify:
            check_sums(metadata, tensors)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    return contents


def _table(metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> Table:
    """Returns the table of a file of version 2."""
    additive = None
    if metadata.get("num_codebooks") != "0":
        additive = _additive(metadata, tensors, _codebook(metadata, tensors))
    of_residual = {
        name.removeprefix(_RESIDUAL): array
        for name, array in tensors.items()
        if name.startswith(_RESIDUAL)
    }
    if not of_residual and additive is not None:
        return additive
    residual = residual_of(of_residual, metadata)
    if additive is not None:
        of_codes, of_rows = (
            (table.num_rows, table.dim) for table in (additive, ResidualTable(residual))
        )
        if of_codes != of_rows:
            raise FormatError(
                f"codes and codebook are of {of_codes[0]} rows and {of_codes[1]} columns, and "
                f"what is added to them of {of_rows[0]} and {of_rows[1]}"
            )
    return ResidualTable(residual, additive)


def _additive(
    metadata: dict[str, str],
    tensors: dict[str, np.ndarray],
    codebook: np.ndarray | QuantizedMatrix,
) -> CodeTable:
    num_codebooks = number(metadata, "num_codebooks", 1, 1 << 31)
    num_codewords = number(metadata, "num_codewords", 2, 1 << 16)
    packed = section(tensors, "codes", (None, None), ("u1",))
    row_bytes = Packing(num_codebooks, bits_for(num_codewords)).row_bytes
    if codebook.shape[0] != num_codebooks * num_codewords or packed.shape[1] != row_bytes:
        raise FormatError(
            f"codes of shape {packed.shape} and a codebook of shape {codebook.shape}; wanted "
            f"{row_bytes} columns and {num_codebooks * num_codewords} rows for "
            f"M={num_codebooks}, K={num_codewords}"
        )
    return CodeTable(packed, codebook, num_codebooks)


def _plain_codebook(tensors: dict[str, np.ndarray]) -> np.ndarray:
    return section(tensors, "codebook", (None, None), ("f2", "f4"))


def _codebook(
    metadata: dict[str, str], tensors: dict[str, np.ndarray]
) -> np.ndarray | QuantizedMatrix:
    """Returns the codebook of a file of version 2."""
    if "codebook_bits" not in metadata:
        return _plain_codebook(tensors)
    bits = number(metadata, "codebook_bits", BITS[0], BITS[-1])
    packed = section(tensors, "codebook", (None, None), ("u1",))
    scales = section(tensors, "codebook_scales", (len(packed),), ("f2", "f4"))
    dim = number(metadata, "num_columns", 1, 1 << 40)
    if packed.shape[1] != Packing(dim, bits).row_bytes:
        raise FormatError(
            f"a codebook of {packed.shape[1]} bytes a row; wanted "
            f"{Packing(dim, bits).row_bytes} for {dim} columns of {bits} bits"
        )
    return QuantizedMatrix(packed, scales, bits, dim)


def _vocabulary(
    metadata: dict[str, str], tensors: dict[str, np.ndarray], num_rows: int
) -> Vocabulary | None:
    num_words = number(metadata, "num_words", 0, num_rows)
    if not any(name.startswith(_WORDS) for name in tensors):
        return None
    sections = {
        name: section(tensors, _WORDS + name, (None,), ("u4" if name == "offsets" else "u1",))
        for name in SECTIONS
    }
    return Vocabulary(sections, num_words, num_rows)


def _provenance(metadata: dict[str, str]) -> dict[str, object]:
    return json_object(metadata, "provenance")


def _as_json(provenance: dict[str, object]) -> str:
    try:
        return json.dumps(provenance, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the provenance is not what JSON can hold: {error}") from None
