"""Rows of Zarr arrays, in versions 2 and 3 of the format."""

import math
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.npy import MOST_COLUMNS
from nncompress.missing import brought_by
from nncompress.sources.places import LocalPlace, Place, import_scale, reading
from nncompress.sources.stored.array import ArrayRows

_ZIP = ".zarr.zip"
_MARKERS = ("zarr.json", ".zarray", ".zgroup")
_MOST_NAMED = 12
_MOST_CHUNK_BYTES = 1 << 30


def is_zarr(place: Place) -> bool:
    """Tells, by its name or the files in it, whether a place holds Zarr arrays."""
    if place.basename.endswith((".zarr", _ZIP)):
        return True
    return place.is_dir() and any(place.child(marker).is_file() for marker in _MARKERS)


def zarr_rows(place: Place, tensor: str | None) -> ArrayRows:
    """Opens an array.

    Missing chunks hold the array's fill value, as the format defines.

    Args:
        place: Its directory, or that of a group that holds it; on this machine also a zip file.
        tensor: Its name in a group; None: the only matrix of floating-point numbers.

    Raises:
        InputError: There is no such array, it is not a matrix of floating-point numbers, or it has
            to be named; or Zarr cannot read it or is not installed.
    """
    zarr = import_scale("zarr", place.name)
    if isinstance(place, LocalPlace) and not place.path.exists():
        raise InputError(f"{place.name} does not exist; wanted a Zarr array")
    with reading(place.name):
        found = zarr.open(store=_store(place), mode="r")
    if isinstance(found, zarr.Array):
        if tensor is not None:
            raise InputError(f"{place.name} is one array; leave the tensor's name out")
        return _rows(found, place.name, place, None)
    with reading(place.name):
        arrays = dict(found.arrays())
        if tensor is not None:
            names = [tensor] if tensor in arrays else []
        else:
            names = [name for name, array in arrays.items() if _is_matrix(array)]
    if len(names) != 1:
        some = ", ".join(sorted(arrays)[:_MOST_NAMED]) or "no array"
        raise InputError(
            f"{place.name} is a group of {some}; name one matrix of floating-point numbers of it "
            "with --tensor"
        )
    return _rows(arrays[names[0]], f"{place.name}, array {names[0]!r}", place, names[0])


def _rows(array: Any, name: str, place: Place, part: str | None) -> ArrayRows:
    rows = ArrayRows(array, name, place, part)
    chunk_bytes = math.prod(array.chunks) * np.dtype(array.dtype).itemsize
    if chunk_bytes > _MOST_CHUNK_BYTES or rows.dim > MOST_COLUMNS:
        raise InputError(
            f"{name} has {rows.dim:,} columns in chunks of {chunk_bytes:,} bytes; wanted at most "
            f"{MOST_COLUMNS:,} in chunks of at most 1 GiB, as each chunk is read as a whole"
        )
    return rows


def _store(place: Place) -> Any:
    with brought_by("scale"):
        from zarr.storage import FsspecStore, LocalStore, ZipStore

    if not isinstance(place, LocalPlace):
        return FsspecStore.from_url(place.name, read_only=True)
    if place.path.is_file():
        return ZipStore(place.path, mode="r", read_only=True)
    return LocalStore(place.path, read_only=True)


def _is_matrix(array: Any) -> bool:
    return array.ndim == 2 and np.dtype(array.dtype).kind == "f"
