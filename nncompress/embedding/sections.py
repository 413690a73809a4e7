"""Reading and checking values from a file's header and sections."""

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
    """Checks a section's type and shape, and returns it.

    Args:
        tensors: All sections.
        name: The name of the section.
        shape: Its shape, with None for any size.
        kinds: The types that it may have, as NumPy's codes without byte order.

    Raises:
        FormatError: The section is missing, or of another type or shape.
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
        FormatError: It is missing, not a number, or out of bounds.
    """
    text = metadata.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise FormatError(f"{name} is {text[:40]!r}; wanted a number")
    if not least <= int(text) <= most:
        raise FormatError(f"{name} is {text}; wanted {least} to {most}")
    return int(text)


def json_object(metadata: Mapping[str, str], name: str) -> dict[str, object]:
    """Returns a JSON object of the metadata, or an empty one if it is missing.

    Raises:
        FormatError: It is not a JSON object.
    """
    try:
        # Numbers that are not finite are not JSON, although Python reads and writes them.
        value = json.loads(metadata.get(name, "{}"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise FormatError(f"{name} is not a JSON object")
    return value


def sums_of(tensors: Mapping[str, np.ndarray | Parts]) -> str:
    """Returns the SHA-256 sum of each section as JSON, the metadata's ``sha256``."""
    return json.dumps({name: _sha256(array) for name, array in tensors.items()})


def check_sums(metadata: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> None:
    """Reads all sections and compares them with their SHA-256 sums.

    Raises:
        FormatError: A section has been altered.
    """
    sums = json_object(metadata, "sha256")
    for name, array in tensors.items():
        if sums.get(name) != _sha256(array):
            raise FormatError(
                f"section {name!r} has been altered: its SHA-256 sum differs; get the file again"
            )


def _sha256(array: np.ndarray | Parts) -> str:
    state = hashlib.sha256()
    for piece in pieces(array):
        state.update(piece)
    return state.hexdigest()
