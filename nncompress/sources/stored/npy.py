"""Rows of ``.npy`` files."""

import io

import numpy as np

from nncompress.errors import FormatError, InputError
from nncompress.formats.npy import MOST_PREFIX_BYTES, map_npy, read_header
from nncompress.sources.places import LocalPlace, Place, read_bytes
from nncompress.sources.row_checks import check_shape
from nncompress.sources.stored.array import ArrayRows
from nncompress.sources.stored.bytes_of_file import BytesOfFile
from nncompress.sources.stored.interface import StoredRows

_WHAT = "a matrix"


def npy_rows(place: Place, origin: Place | None = None) -> StoredRows:
    """Opens a file that ``numpy.save`` wrote.

    Args:
        place: The file, here or in an object store.
        origin: The file that it was converted from, which messages name; None: none.

    Raises:
        InputError: The file is missing, or not a matrix of floating-point numbers; or it is stored
            by columns and not on this machine.
        FormatError: It is not a ``.npy`` file, or is cut short.
    """
    size = place.num_bytes()
    start = read_bytes(place, 0, min(size, MOST_PREFIX_BYTES))
    header = read_header(io.BytesIO(start), place.name, _WHAT)
    check_shape(place.name, header.shape, header.dtype)
    if size - header.num_bytes < header.data_bytes:
        raise FormatError(
            f"{place.name} has {size:,} bytes, but an array of {header.dtype} {header.shape} "
            f"takes {header.num_bytes + header.data_bytes:,}; wanted {_WHAT} that is complete"
        )
    num_rows, dim = header.shape
    is_local = isinstance(place, LocalPlace)
    if header.fortran_order and dim > 1 and num_rows > 1:
        if not isinstance(place, LocalPlace):
            raise InputError(
                f"{place.name} is stored by columns (Fortran order); wanted rows, so save it "
                "again with numpy.ascontiguousarray, or download it first"
            )
        return ArrayRows(map_npy(place.path), place.name, place)
    return BytesOfFile(
        place, (origin or place).name, header.num_bytes, (num_rows, dim), np.dtype(header.dtype),
        remote=not is_local, origin=origin,
    )  # fmt: skip
