"""NumPy's ``.npy`` files: written row by row, and mapped."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nncompress.errors import InputError

# Blocks of tokens, valid UTF-8, and their rows, float32 (n, D).
Rows = Iterator[tuple[list[bytes], np.ndarray]]
BLOCK_BYTES = 4 << 20
# More columns than any table has: a first line that promises more is none.
MOST_COLUMNS = 1 << 24


def write_npy(path: Path, rows: Rows, write_words: Callable[[bytes], object]) -> tuple[int, int]:
    """Writes rows to a ``.npy`` file as they come, so that memory holds one block of them.

    Args:
        path: The file to write.
        rows: Blocks of tokens and rows, at least one.
        write_words: Takes the tokens of a block, bytes, each followed by a line break.

    Returns:
        ``(N, D)``.
    """
    num_rows = dim = 0
    with path.open("wb") as file:
        for tokens, values in rows:
            if not dim:
                dim = values.shape[1]
                _write_header(file, 0, dim)
            write_words(b"".join([token + b"\n" for token in tokens]))
            file.write(np.ascontiguousarray(values, dtype="<f4").data)
            num_rows += len(tokens)
        file.seek(0)
        _write_header(file, num_rows, dim)
    return num_rows, dim


def _write_header(file: BinaryIO, num_rows: int, dim: int) -> None:
    """Writes a header, whose length NumPy keeps the same while the number of rows grows."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, dim)}
    np.lib.format.write_array_header_1_0(file, header)


def map_npy(path: Path, what: str = "a matrix") -> np.ndarray:
    """Maps the array of a ``.npy`` file, read-only and never unpickled.

    Args:
        path: The file to map.
        what: Name of its expected content, for messages.

    Raises:
        InputError: The file is missing, is no ``.npy`` file, or holds Python objects.
    """
    if not path.is_file():
        seen = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {seen}; wanted {what} in a .npy file")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            shape, dtype = read_header(file)[::2] if read_header else (None, None)
    except (ValueError, EOFError) as error:
        raise InputError(
            f"{path} is not a .npy file ({error}); wanted {what} saved by numpy.save"
        ) from None
    if dtype is not None and dtype.hasobject:
        raise InputError(f"{path} holds Python objects; wanted float16, float32 or float64")
    if shape is not None and 0 in shape:
        return np.empty(shape, dtype)  # an empty file cannot be mapped
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as a .npy file: {error}") from None
