"""Working memory for kernels: arrays that are aligned to cache lines."""

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from nncompress.cpu.elementary import INLINE

LINE_BYTES = 64
# Arrays that begin at the same offset in a page compete for the same lines of a cache.
_STAGGER = 5


def allocate(arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> dict[str, np.ndarray]:
    """Creates arrays that are aligned to cache lines.

    Args:
        arrays: Shape and type of each, by name.

    Returns:
        The arrays by name, uninitialized.
    """
    return allocate_together(arrays)[0]


def allocate_together(
    arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Creates such arrays, and returns the memory that they lie in as well.

    Args:
        arrays: Shape and type of each, by name.

    Returns:
        The arrays by name, and uint8 ``(bytes,)``: all of them and the padding between them, all
        of it uninitialized.
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
    """Returns an array aligned to a cache line, as vectors across two lines take two reads."""
    return allocate({"array": (shape, dtype)})["array"]


@njit(**INLINE)
def empty_rows(num_rows, length):
    """Returns float32 ``(num_rows, length)``, aligned to a cache line; for use in kernels."""
    size = num_rows * length
    room = np.empty(size + LINE_BYTES // 4, np.float32)
    skipped = (-room.ctypes.data % LINE_BYTES) // 4
    return room[skipped : skipped + size].reshape(num_rows, length)
