"""Arrays that kernels work in, laid out in one piece of memory."""

import math
from collections.abc import Mapping

import numpy as np

_LINE_BYTES = 64
# Arrays that begin at the same place of a page are the same lines of a cache.
_STAGGER = 5


def allocate(arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> dict[str, np.ndarray]:
    """Makes arrays that begin on lines of the cache.

    Args:
        arrays: Shape and type of each, by name.

    Returns:
        The arrays by name, not initialized.
    """
    places, end = {}, 0
    for name, (shape, dtype) in arrays.items():
        places[name] = end
        size = math.prod(shape) * np.dtype(dtype).itemsize
        end += (-(-size // _LINE_BYTES) + _STAGGER) * _LINE_BYTES
    memory = np.empty(end + _LINE_BYTES, np.uint8)
    first = -memory.ctypes.data % _LINE_BYTES
    return {
        name: np.ndarray(shape, dtype, memory.data, first + places[name])
        for name, (shape, dtype) in arrays.items()
    }


def on_a_line(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an array that begins on a line: a vector that reaches into two is read in two."""
    return allocate({"array": (shape, dtype)})["array"]
