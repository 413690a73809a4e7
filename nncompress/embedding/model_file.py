"""The file of a model, which has no rows; see docs/file-format.md, "Version 3"."""

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

from nncompress.embedding.model import Model
from nncompress.embedding.nnc_sections import (
    FORMAT,
    FORMAT_VERSIONS,
    IN_PARTS,
    RESIDUAL,
    Metadata,
    Sections,
    as_json,
    codebook_of,
    in_order,
    residual_sections,
    sections_of_codebook,
    size_of,
)
from nncompress.embedding.residual_sections import (
    NUMBERS_OF_ROWS,
    OF_ROWS,
    metadata_of,
    sections_of,
    shared_of,
)
from nncompress.embedding.sections import check_sums, json_object, number, section, sums_of
from nncompress.errors import FormatError
from nncompress.formats.safetensors import TensorFile, map_tensors, write_tensors

WHAT_MODEL = "a model that rows are encoded by"
MODEL, ROWS = PARTS = ("model", "rows")


def write_model(path: str | os.PathLike, model: Model) -> None:
    """Writes a model, the same bytes for the same model."""
    write_tensors(path, *_content_of(model))


def digest_of_model(model: Model) -> str:
    """Returns the digest by which files of rows refer to a model."""
    return _digest(_content_of(model)[1])


def _content_of(model: Model) -> tuple[Sections, Metadata]:
    sections: Sections = {"centre": model.centre.astype(np.float32)}
    numbers: Metadata = {}
    if model.codebook is not None:
        own, numbers = sections_of_codebook(model.codebook)
        sections |= own
    if model.residual is not None:
        kept = {k: v for k, v in sections_of(model.residual).items() if k not in OF_ROWS}
        sections |= {RESIDUAL + name: array for name, array in kept.items()}
        numbers |= {
            k: v for k, v in metadata_of(model.residual).items() if k not in NUMBERS_OF_ROWS
        }
    sections = in_order(sections)
    return sections, {
        "format": FORMAT,
        "format_version": str(IN_PARTS),
        "part": MODEL,
        "num_codebooks": str(model.num_codebooks),
        "num_codewords": str(model.num_codewords),
        **numbers,
        "scale": repr(float(model.scale)),
        "encoding": as_json(model.encoding),
        "provenance": as_json(model.provenance),
        "sha256": sums_of(sections),
    }


def is_model_file(path: str | os.PathLike) -> bool:
    """Tells whether a file of this project is a model.

    Raises:
        InputError: There is no such file.
        FormatError: The file is of another kind, or damaged.
    """
    what = f"a compressed embedding (.nnc), or {WHAT_MODEL}"
    return map_tensors(path, what).metadata.get("part") == MODEL


def read_model(path: str | os.PathLike, *, copy: bool = False) -> tuple[Model, str]:
    """Reads a model.

    Args:
        path: The file.
        copy: Whether to read the whole file into memory instead of mapping it.

    Returns:
        The model, and the digest by which files of its rows refer to it.

    Raises:
        InputError: There is no such file.
        FormatError: The file is of another kind or version, incomplete, or altered.
    """
    file = map_tensors(path, WHAT_MODEL, copy=copy)
    check_version(Path(path), file, WHAT_MODEL)
    try:
        if file.metadata.get("part") != MODEL:
            raise FormatError(f"the file has rows, so it is not a model; wanted {WHAT_MODEL}")
        # A model is small, and all rows depend on it.
        check_sums(file.metadata, file.tensors)
        return _model_of(file), _digest(file.metadata)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None


def _digest(metadata: Metadata) -> str:
    """Returns the digest of the sums of a model's sections and of its numbers."""
    known = {name: text for name, text in metadata.items() if name != "provenance"}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def check_version(path: Path, file: TensorFile, what: str) -> int:
    """Returns the version of a file of this project.

    Raises:
        FormatError: The file is of another kind, or of an unknown version.
    """
    if file.metadata.get("format") != FORMAT:
        raise FormatError(f"{path} is a safetensors file of another kind; wanted {what}")
    try:
        version = number(file.metadata, "format_version", 0, 1 << 31)
        if version not in FORMAT_VERSIONS:
            raise FormatError(
                f"format version {version}, but this release reads versions "
                f"{', '.join(map(str, FORMAT_VERSIONS[:-1]))} and {FORMAT_VERSIONS[-1]}; upgrade "
                "chainer-nncompress, or make the file again"
            )
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    return version


def _model_of(file: TensorFile) -> Model:
    metadata, sections = file.metadata, file.tensors
    centre = section(sections, "centre", (None,), ("f4",)).copy()
    codebook, num_codebooks = None, 0
    if metadata.get("num_codebooks") != "0":
        num_codebooks, num_codewords = size_of(metadata)
        codebook = codebook_of(metadata, sections)
        if codebook.shape != (num_codebooks * num_codewords, len(centre)):
            raise FormatError(
                f"a codebook of shape {codebook.shape} for M={num_codebooks}, K={num_codewords} "
                f"and {len(centre)} columns"
            )
    residual, of_residual = None, residual_sections(sections)
    if of_residual:
        residual = shared_of(of_residual, metadata)
        if len(residual.mean) != len(centre):
            raise FormatError(
                f"a residual stage of {len(residual.mean)} columns; wanted {len(centre)}"
            )
    if codebook is None and residual is None:
        raise FormatError("there is neither a codebook nor a residual stage")
    return Model(
        codebook, num_codebooks, residual, centre, _scale_of(metadata),
        json_object(metadata, "encoding"), json_object(metadata, "provenance"),
    )  # fmt: skip


def _scale_of(metadata: Metadata) -> float:
    try:
        scale = float(metadata.get("scale", ""))
    except ValueError:
        scale = 0.0
    if not (math.isfinite(scale) and scale > 0):
        raise FormatError(f"scale is {metadata.get('scale', '')[:40]!r}; wanted a positive number")
    return scale
