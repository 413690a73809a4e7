"""Arrays that kernels work in, which begin on lines of the cache."""

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE

LINE_BYTES = 64
# Arrays that begin at the same place of a page are the same lines of a cache.
_STAGGER = 5


def allocate(arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> dict[str, np.ndarray]:
    """Makes arrays that begin on lines of the cache.

    Args:
        arrays: Shape and type of each, by name.

    Returns:
        The arrays by name, not initialized.
    """
    return allocate_together(arrays)[0]


def allocate_together(
    arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Makes such arrays, and shows the memory that they are in.

    Args:
        arrays: Shape and type of each, by name.

    Returns:
        The arrays by name, and uint8 ``(bytes,)``: all of them with what lies between them, which
        is not initialized either.
    """
    places, end = {}, 0
    for name, (shape, dtype) in arrays.items():
        places[name] = end
        size = math.prod(shape) * np.dtype(dtype).itemsize
        end += (-(-size // LINE_BYTES) + _STAGGER) * LINE_BYTES
    memory = np.empty(end + LINE_BYTES, np.uint8)
    first = -memory.ctypes.data % LINE_BYTES
    made = {
        name: np.ndarray(shape, dtype, memory.data, first + places[name])
        for name, (shape, dtype) in arrays.items()
    }
    return made, memory[first : first + end]


def on_a_line(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an array that begins on a line: a vector that reaches into two is read in two."""
    return allocate({"array": (shape, dtype)})["array"]


@njit(**INLINE)
def empty_rows(num_rows, length):
    """Returns float32 ``(num_rows, length)`` that begins on a line; for kernels."""
    size = num_rows * length
    room = np.empty(size + LINE_BYTES // 4, np.float32)
    skipped = (-room.ctypes.data % LINE_BYTES) // 4
    return room[skipped : skipped + size].reshape(num_rows, length)
