"""Checks of stored rows, and their conversion to the float32 rows that are handed out."""

from collections.abc import Callable, Sequence

import numpy as np

from nncompress.errors import InputError

# Below this, float32 has fewer and fewer digits.
SMALLEST_NORMAL = np.finfo(np.float32).tiny


def check_shape(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuses an array whose shape or type shows that it holds no vectors.

    Args:
        name: The array's name in messages.
        shape: Its shape.
        dtype: Its type.

    Raises:
        InputError: It does not have two dimensions, is not of float16, float32 or float64, or is
            empty.
    """
    if len(shape) != 2:
        raise InputError(f"{name} has shape {shape}; wanted two dimensions, (rows, columns)")
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise InputError(
            f"{name} holds {dtype}; wanted float16, float32 or float64, so convert it with "
            "astype('float32')"
        )
    if 0 in shape:
        raise InputError(
            f"{name} is empty: its shape is {shape}; wanted at least one row and column"
        )


def as_array(source: object, name: str) -> np.ndarray:
    """Returns an array, or an object that NumPy can treat as one, as a NumPy array.

    Args:
        source: The array.
        name: Its name in messages.

    Raises:
        InputError: The source is something else.
    """
    if not (hasattr(source, "__array__") or isinstance(source, (list, tuple))):
        instead = "; its to_numpy() is one" if hasattr(source, "to_numpy") else ""
        raise InputError(
            f"{name} is a {type(source).__name__}; wanted an array of rows and columns{instead}"
        )
    return np.asanyarray(source)


def check_limit(limit: int | None) -> None:
    """Refuses a limit on rows that leaves none.

    Raises:
        InputError: The limit is below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"the limit on rows is {limit}; wanted at least 1")


def checked(
    stored: np.ndarray,
    numbers: Sequence[int] | np.ndarray,
    named: Callable[[int], str],
    *,
    tiny_rows: bool = False,
) -> np.ndarray:
    """Returns rows in float32, or refuses them.

    Args:
        stored: Rows as they are stored, in any float type, ``(n, D)``.
        numbers: Their numbers in the table.
        named: Returns the name, for messages, of the file that holds the row of a given number.
        tiny_rows: Whether to accept rows so small that float32 keeps few or none of their digits.

    Raises:
        InputError: A number is not finite in float32, or a nonzero row has no number that float32
            represents with all its digits.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # invalid: signalling NaNs
        rows = np.ascontiguousarray(stored, dtype=np.float32)
        if not len(rows):
            return rows
        magnitudes = magnitudes_of(rows)
        finite = np.isfinite(magnitudes)
        if not finite.all():
            row = int(np.argmin(finite))
            column = int(np.argmin(np.isfinite(rows[row])))
            raise InputError(
                f"{named(numbers[row])} has {stored[row, column]} in row {numbers[row]}, column "
                f"{column} (counted from 0); wanted numbers that are finite in float32"
            )
        if not tiny_rows:
            _refuse_tiny(stored, magnitudes, numbers, named)
    return rows


def divided(rows: np.ndarray) -> np.ndarray:
    """Returns rows divided by their lengths, in float32; rows of zeros stay as they are.

    Args:
        rows: Rows as they are stored, in any float type, ``(n, D)``.
    """
    exact = rows.astype(np.float64, order="C")  # so that a row's sum is the same in any block
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    exact /= np.where(lengths > 0, lengths, 1)
    return exact.astype(np.float32)


def magnitudes_of(rows: np.ndarray) -> np.ndarray:
    """Returns the largest magnitude in each row, ``(n,)``; NaN where a row has a NaN.

    Args:
        rows: Numbers, ``(n, D)``.
    """
    return np.maximum(rows.max(axis=1), -rows.min(axis=1))


def _refuse_tiny(
    stored: np.ndarray,
    magnitudes: np.ndarray,
    numbers: Sequence[int] | np.ndarray,
    named: Callable[[int], str],
) -> None:
    """Refuses stored rows that get lost in float32, given their magnitudes there."""
    few_digits = np.flatnonzero(magnitudes < SMALLEST_NORMAL)
    exact = magnitudes_of(stored[few_digits])
    for index in few_digits[exact > 0][:1]:
        row, largest = numbers[index], exact[exact > 0][0]
        raise InputError(
            f"{named(row)} has no number larger than {largest:.3g} in row {row} (counted from 0), "
            f"and float32 has all its digits only from {SMALLEST_NORMAL:.3g} on; scale the table "
            "so that its rows have lengths of about 1"
        )
