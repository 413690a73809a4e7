"""A chain's parameters as views of one array, so that one kernel can update all of them."""

from collections.abc import Sequence
from types import ModuleType


class FlatArrays:
    """Arrays of several shapes in one array.

    Args:
        xp: The array library.
        shapes: The shapes of the arrays.

    Attributes:
        values: All numbers, float32 ``(size,)``.
        views: The arrays, views of ``values``.
        offsets: The position where each begins.
    """

    def __init__(self, xp: ModuleType, shapes: Sequence[tuple[int, ...]]) -> None:
        sizes = [_size_of(shape) for shape in shapes]
        self.offsets = [sum(sizes[:index]) for index in range(len(sizes))]
        self.values = xp.zeros(sum(sizes), dtype=xp.float32)
        self.views = self.views_of(self.values, shapes)

    def views_of(self, values: object, shapes: Sequence[tuple[int, ...]]) -> list[object]:
        """Returns views of an array of the same size.

        Args:
            values: ``(size,)``.
            shapes: The shapes of the views.
        """
        return [
            values[offset : offset + _size_of(shape)].reshape(shape)
            for offset, shape in zip(self.offsets, shapes, strict=True)
        ]


def _size_of(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
