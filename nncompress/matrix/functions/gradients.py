"""Gradients that several functions need."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer


def is_training() -> bool:
    """Tells whether what gradients need has to be kept."""
    return bool(chainer.config.enable_backprop)


def as_variables(gradients: list, indexes: tuple[int, ...]) -> tuple[chainer.Variable, ...]:
    """Returns the gradients that Chainer asks for, of those of all inputs."""
    return tuple(chainer.as_variable(gradients[index]) for index in indexes)


def row_numbers(ids: np.ndarray, num_rows: int) -> np.ndarray:
    """Returns row numbers as kernels want them: int64, contiguous, from 0 on.

    Args:
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.
        num_rows: How many rows there are.

    Raises:
        IndexError: There is no row of such a number. (On a GPU, where asking takes long, another
            row is taken, as CuPy does it.)
    """
    xp = chainer.backend.get_array_module(ids)
    numbers = xp.ascontiguousarray(ids, dtype=np.int64)
    if xp is not np:
        return numbers % num_rows
    if (numbers.view(np.uint64) >= num_rows).any():  # negative ones are large then
        bad = (numbers < -num_rows) | (numbers >= num_rows)
        if bad.any():
            raise IndexError(
                f"there is no row {numbers[bad][0]}; wanted {-num_rows} to {num_rows - 1}"
            )
        numbers = numbers % num_rows
    return numbers
