"""What is read from a file's header and sections, each checked before it is used."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from nncompress.errors import FormatError
from nncompress.formats.parts import Parts, pieces


def section(
    tensors: Mapping[str, np.ndarray],
    name: str,
    shape: tuple[int | None, ...],
    kinds: tuple[str, ...],
) -> np.ndarray:
    """Returns a section after a check of its type and shape.

    Args:
        tensors: All sections.
        name: The one that is wanted.
        shape: What its shape has to be; None for any size.
        kinds: The types that it may have, as NumPy's codes without the byte order.

    Raises:
        FormatError: There is no such section, or it is something else.
    """
    if name not in tensors:
        raise FormatError(f"there is no section {name!r}")
    array = tensors[name]
    fits = len(shape) == array.ndim and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.str[1:] not in kinds:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise FormatError(
            f"section {name!r} has type {array.dtype} and shape {array.shape}; wanted "
            f"{' or '.join(kinds)} and ({wanted})"
        )
    if array.ndim >= 2 and array.size == 0:
        raise FormatError(f"section {name!r} is empty")
    if not array.flags.aligned:
        raise FormatError(f"section {name!r} does not begin at a multiple of its numbers' size")
    return array


def number(metadata: Mapping[str, str], name: str, least: int, most: int) -> int:
    """Returns a number of the metadata.

    Raises:
        FormatError: It is missing, no number, or out of bounds.
    """
    text = metadata.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise FormatError(f"{name} is {text[:40]!r}; wanted a number")
    if not least <= int(text) <= most:
        raise FormatError(f"{name} is {text}; wanted {least} to {most}")
    return int(text)


def json_object(metadata: Mapping[str, str], name: str) -> dict[str, object]:
    """Returns a JSON object of the metadata; an empty one where it is missing.

    Raises:
        FormatError: It is something else.
    """
    try:
        # What is not finite is no JSON, though Python's reader and writer have names for it.
        value = json.loads(metadata.get(name, "{}"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise FormatError(f"{name} is not a JSON object")
    return value


def sums_of(tensors: Mapping[str, np.ndarray | Parts]) -> str:
    """Returns the SHA-256 sum of each section, as JSON, which the metadata have as ``sha256``."""
    return json.dumps({name: _sha256(array) for name, array in tensors.items()})


def check_sums(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> None:
    """Reads all sections and compares them with their sums.

    Raises:
        FormatError: One has been altered.
    """
    sums = json_object(metadata, "sha256")
    for name, array in tensors.items():
        if sums.get(name) != _sha256(array):
            raise FormatError(
                f"section {name!r} is not what was written: its SHA-256 sum differs; get the file "
                "again"
            )


def _sha256(array: np.ndarray | Parts) -> str:
    state = hashlib.sha256()
    for piece in pieces(array):
        state.update(piece)
    return state.hexdigest()
