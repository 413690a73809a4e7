"""The weights of rows: one number for each row, such as how often its word occurs."""

import os
from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.files import what_is
from nncompress.formats.npy import map_npy
from nncompress.sources.lines import text_lines
from nncompress.sources.matrix import EmbeddingMatrix


def read_weights(path: str | os.PathLike, matrix: EmbeddingMatrix) -> np.ndarray:
    """Reads the weights of a matrix's rows.

    Args:
        path: A ``.npy`` file of shape ``(N,)``, or text with one number a line, where N is the
            number of rows before any limit.
        matrix: The embedding matrix.

    Returns:
        The weights of the rows in use, float64 ``(N,)`` of mean 1.

    Raises:
        InputError: The file is missing or cannot be read, or ``check_weights`` refuses it.
    """
    return check_weights(load_weights(path), matrix, os.fspath(path))


def load_weights(path: str | os.PathLike) -> np.ndarray:
    """Reads a file of weights as it is; see ``read_weights``."""
    path = Path(path)
    return (_read_array if path.suffix == ".npy" else _read_numbers)(path)


def check_weights(
    weights: np.ndarray, matrix: EmbeddingMatrix, name: str = "the array of weights"
) -> np.ndarray:
    """Checks weights and scales them to mean 1.

    Args:
        weights: Numbers that are not negative, ``(N,)``, where N is the number of rows before any
            limit.
        matrix: The embedding matrix.
        name: The weights' name in messages.

    Returns:
        The weights of the rows in use, float64 ``(N,)`` of mean 1.

    Raises:
        InputError: There are more or fewer weights than rows, one is negative or not finite, or
            all are 0.
    """
    weights = np.asarray(weights)
    if weights.ndim != 1 or weights.dtype.kind not in "iuf":
        raise InputError(
            f"{name} holds {weights.dtype} of shape {weights.shape}; wanted one number a row, of "
            f"shape ({matrix.total_rows},)"
        )
    if len(weights) != matrix.total_rows:
        raise InputError(
            f"{name} has {len(weights)} weights, but {matrix.name} has {matrix.total_rows} rows; "
            "wanted one weight a row"
        )
    weights = weights[: len(matrix)].astype(np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{name} has {weights[row]} for row {row} (counted from 0); wanted finite numbers "
            "of 0 or more"
        )
    largest = weights.max()
    if largest == 0:
        raise InputError(f"{name} has only zeros; wanted at least one row with a weight")
    weights = weights / largest  # the sum of the original numbers could overflow
    return weights / weights.mean()


def _read_array(path: Path) -> np.ndarray:
    return np.asarray(map_npy(path, "weights"))


def _read_numbers(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path} {what_is(path)}; wanted weights, one number a line")
    numbers = []
    with path.open("rb") as file:
        for number, line in enumerate(text_lines(file, path), 1):
            try:
                numbers.append(float(line))
            except ValueError:
                raise InputError(
                    f"{path}, line {number}: {line[:40]!r} is not a number; wanted one number a "
                    "line"
                ) from None
    return np.array(numbers, dtype=np.float64)
