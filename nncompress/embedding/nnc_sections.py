"""Converting compressed rows to the sections and numbers of an ``.nnc`` file, and back.

docs/file-format.md specifies every byte. Everything read is checked before it is used.
"""

import json
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.packing import Packing, bits_for
from nncompress.embedding.quantized_matrix import BITS, QuantizedMatrix
from nncompress.embedding.residual_sections import metadata_of, residual_of, sections_of
from nncompress.embedding.residual_table import ResidualTable, SingleTable
from nncompress.embedding.sections import number, section
from nncompress.embedding.vocabulary import SECTIONS, Vocabulary
from nncompress.errors import FormatError, InputError
from nncompress.formats.parts import Parts

FORMAT = "nncompress"
ADDITIVE, WITH_RESIDUAL, IN_PARTS = FORMAT_VERSIONS = (1, 2, 3)
WORDS, RESIDUAL, EXTRA = "vocabulary.", "residual.", "extra."

Codebook = np.ndarray | QuantizedMatrix
Sections = dict[str, np.ndarray]
Metadata = dict[str, str]
_Section = TypeVar("_Section", np.ndarray, np.ndarray | Parts)


def sections_of_table(table: SingleTable) -> tuple[Sections, Metadata]:
    """Returns a table's sections, and the numbers that version 1 lacks, as text by name."""
    sections: Sections = {}
    numbers: Metadata = {}
    additive = table.additive if isinstance(table, ResidualTable) else table
    if additive is not None:
        sections, numbers = sections_of_codebook(additive.stored_codebook)
        sections["codes"] = additive.packed
    if isinstance(table, ResidualTable):
        kept = sections_of(table.residual)
        sections |= {RESIDUAL + name: array for name, array in kept.items()}
        numbers |= metadata_of(table.residual)
    return sections, numbers


def sections_of_codebook(stored: Codebook) -> tuple[Sections, Metadata]:
    """Returns a codebook's sections, and its numbers as text by name."""
    if isinstance(stored, QuantizedMatrix):
        sections = {"codebook": stored.packed, "codebook_scales": stored.scales}
        return sections, {"codebook_bits": str(stored.bits), "num_columns": str(stored.dim)}
    return {"codebook": stored}, {}


def sections_of_words(vocabulary: Vocabulary | None) -> Sections:
    """Returns a vocabulary's sections; none for None."""
    words = {} if vocabulary is None else vocabulary.sections
    return {WORDS + name: words[name] for name in SECTIONS if words}


def sections_of_extras(extras: Mapping[str, np.ndarray]) -> Sections:
    """Returns the sections of arrays that go with the rows, by their names."""
    return {EXTRA + name: np.ascontiguousarray(array) for name, array in extras.items()}


def extras_of(sections: Sections) -> Sections:
    """Returns arrays from sections, as the inverse of ``sections_of_extras``."""
    return {
        name.removeprefix(EXTRA): array
        for name, array in sections.items()
        if name.startswith(EXTRA)
    }


def in_order(sections: Mapping[str, _Section]) -> dict[str, _Section]:
    """Returns sections in file order: those with larger elements first."""
    return dict(sorted(sections.items(), key=lambda item: -item[1].dtype.itemsize))


def table_of(metadata: Metadata, sections: Sections, version: int) -> SingleTable:
    """Returns the table in a file's sections.

    Args:
        metadata: The numbers, as text by name.
        sections: All sections.
        version: The file's version; version 1 has no quantized codebook and no residual stage.

    Raises:
        FormatError: Something is missing, or does not match the rest.
    """
    if version == ADDITIVE:
        return _additive(metadata, sections, _plain_codebook(sections))
    additive = None
    if metadata.get("num_codebooks") != "0":
        additive = _additive(metadata, sections, codebook_of(metadata, sections))
    of_residual = residual_sections(sections)
    if not of_residual and additive is not None:
        return additive
    residual = residual_of(of_residual, metadata)
    if additive is not None:
        of_codes, of_rows = (
            (table.num_rows, table.dim) for table in (additive, ResidualTable(residual))
        )
        if of_codes != of_rows:
            raise FormatError(
                f"codes and codebook have {of_codes[0]} rows and {of_codes[1]} columns, but "
                f"the residual stage has {of_rows[0]} and {of_rows[1]}"
            )
    return ResidualTable(residual, additive)


def residual_sections(sections: Sections) -> Sections:
    """Returns the sections of a residual stage, by their names within it."""
    return {
        name.removeprefix(RESIDUAL): array
        for name, array in sections.items()
        if name.startswith(RESIDUAL)
    }


def size_of(metadata: Metadata) -> tuple[int, int]:
    """Returns M and K of a file with additive codes.

    Raises:
        FormatError: A number is missing or out of bounds.
    """
    return (
        number(metadata, "num_codebooks", 1, 1 << 31),
        number(metadata, "num_codewords", 2, 1 << 16),
    )


def codebook_of(metadata: Metadata, sections: Sections) -> Codebook:
    """Returns the codebook of a file of version 2 or 3.

    Raises:
        FormatError: The codebook is missing or of another form.
    """
    if "codebook_bits" not in metadata:
        return _plain_codebook(sections)
    bits = number(metadata, "codebook_bits", BITS[0], BITS[-1])
    packed = section(sections, "codebook", (None, None), ("u1",))
    scales = section(sections, "codebook_scales", (len(packed),), ("f2", "f4"))
    dim = number(metadata, "num_columns", 1, 1 << 40)
    if packed.shape[1] != Packing(dim, bits).row_bytes:
        raise FormatError(
            f"a codebook of {packed.shape[1]} bytes a row; wanted "
            f"{Packing(dim, bits).row_bytes} for {dim} columns of {bits} bits"
        )
    return QuantizedMatrix(packed, scales, bits, dim)


def _plain_codebook(sections: Sections) -> np.ndarray:
    return section(sections, "codebook", (None, None), ("f2", "f4"))


def _additive(metadata: Metadata, sections: Sections, codebook: Codebook) -> CodeTable:
    num_codebooks, num_codewords = size_of(metadata)
    packed = section(sections, "codes", (None, None), ("u1",))
    row_bytes = Packing(num_codebooks, bits_for(num_codewords)).row_bytes
    if codebook.shape[0] != num_codebooks * num_codewords or packed.shape[1] != row_bytes:
        raise FormatError(
            f"codes of shape {packed.shape} and a codebook of shape {codebook.shape}; wanted "
            f"{row_bytes} columns and {num_codebooks * num_codewords} rows for "
            f"M={num_codebooks}, K={num_codewords}"
        )
    return CodeTable(packed, codebook, num_codebooks)


def vocabulary_of(metadata: Metadata, sections: Sections, num_rows: int) -> Vocabulary | None:
    """Returns the words of a file; None for a file without words.

    Raises:
        FormatError: Something is missing, or does not match the rest.
    """
    num_words = number(metadata, "num_words", 0, num_rows)
    if not any(name.startswith(WORDS) for name in sections):
        return None
    own = {
        name: section(sections, WORDS + name, (None,), ("u4" if name == "offsets" else "u1",))
        for name in SECTIONS
    }
    return Vocabulary(own, num_words, num_rows)


def as_json(facts: Mapping[str, object]) -> str:
    """Returns facts as JSON.

    Raises:
        InputError: JSON cannot represent them.
    """
    try:
        return json.dumps(facts, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the provenance cannot be written as JSON: {error}") from None
