"""Tokens and rows that come block by block, and the ``.npy`` file that they become."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

# Blocks of tokens, valid UTF-8, and their rows, float32 (n, D).
Rows = Iterator[tuple[list[bytes], np.ndarray]]
BLOCK_BYTES = 4 << 20
# More columns than any table has: a first line that promises more is none.
MOST_COLUMNS = 1 << 24


def write_npy(path: Path, rows: Rows, write_words: Callable[[bytes], object]) -> tuple[int, int]:
    """Writes rows to a ``.npy`` file as they come, so that memory holds one block of them.

    Args:
        path: The file.
        rows: At least one block.
        write_words: Takes the tokens of a block, each followed by a line break.

    Returns:
        ``(N, D)``.
    """
    shape = (0, 0)
    with path.open("wb") as file:
        file.write(_header(*shape))
        for tokens, values in rows:
            write_words(b"".join([token + b"\n" for token in tokens]))
            file.write(np.ascontiguousarray(values, dtype="<f4"))
            shape = shape[0] + len(tokens), values.shape[1]
        file.seek(0)
        file.write(_header(*shape))
    return shape


def _header(num_rows: int, dim: int) -> bytes:
    """Returns a header of a fixed length, so that the shape can be filled in at the end."""
    shape = f"({num_rows}, {dim}), }}"
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")
