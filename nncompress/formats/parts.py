"""Arrays in parts that are written as one."""

from collections.abc import Iterator, Sequence

import numpy as np


class Parts:
    """Arrays that follow each other along the first axis, as parts of one array.

    Args:
        arrays: At least one; of the same dtype, and of the same shape except for the first axis.

    Attributes:
        arrays: As given.
        dtype: Their dtype.
        shape: The shape of the whole.
        nbytes: The bytes of the whole.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays = list(arrays)
        first = self.arrays[0]
        if any((a.dtype, a.shape[1:]) != (first.dtype, first.shape[1:]) for a in self.arrays):
            raise ValueError("parts of several types or shapes")
        self.dtype = first.dtype
        self.shape = (sum(map(len, self.arrays)), *first.shape[1:])
        self.nbytes = sum(array.nbytes for array in self.arrays)

    def __len__(self) -> int:
        return self.shape[0]

    def whole(self) -> np.ndarray:
        """Returns one array: a copy, unless there is only one part."""
        return self.arrays[0] if len(self.arrays) == 1 else np.concatenate(self.arrays)


def pieces(array: np.ndarray | Parts) -> Iterator[memoryview]:
    """Yields the bytes of an array, whole or in parts."""
    for part in array.arrays if isinstance(array, Parts) else [array]:
        yield np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
