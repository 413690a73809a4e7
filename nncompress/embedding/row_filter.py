"""Choosing the rows to search."""

from operator import index

import numpy as np

from nncompress.errors import InputError


def row_numbers(rows: object, num_rows: int) -> np.ndarray:
    """Returns unique row numbers in ascending order, int64 ``(n,)``.

    Args:
        rows: Non-negative row numbers, in any order and possibly repeated; or a boolean for each
            row.
        num_rows: N.

    Raises:
        InputError: They are of another type or shape, or a number is out of range.
    """
    wanted = f"wanted row numbers, or {num_rows:,} booleans, in one dimension"
    try:
        given = np.asarray(rows)
    except ValueError as error:
        raise InputError(f"rows to search: {error}; {wanted}") from None
    if given.dtype == np.bool_ and given.shape == (num_rows,):
        return np.flatnonzero(given)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "ui"):
        raise InputError(f"rows to search of type {given.dtype} and shape {given.shape}; {wanted}")
    if given.size and not 0 <= given.min() <= given.max() < num_rows:
        bad = given.min() if given.min() < 0 else given.max()
        raise InputError(f"there is no row {bad} to search; wanted 0 to {num_rows - 1:,}")
    return np.unique(given.astype(np.int64))


def row_range(
    num_rows: int,
    restrict_vocab: int | None = None,
    clip_start: int = 0,
    clip_end: int | None = None,
) -> range:
    """Returns the range of rows to search, given gensim's arguments.

    Args:
        num_rows: N.
        restrict_vocab: The number of leading rows, which overrides the others; None or 0 to use
            the others.
        clip_start: The first row.
        clip_end: The row after the last one; None or 0 for N. Negative numbers count from the
            end.

    Raises:
        InputError: They are not such numbers.
    """
    given = {"clip_start": clip_start, "clip_end": clip_end, "restrict_vocab": restrict_vocab}
    for name, value in given.items():
        try:
            _ = None if value is None else index(value)
        except TypeError:
            raise InputError(f"{name} is {value!r}; wanted a number of rows") from None
    if restrict_vocab is not None and restrict_vocab < 0:
        raise InputError(f"restrict_vocab is {restrict_vocab}; wanted a number of rows")
    asked = slice(0, restrict_vocab) if restrict_vocab else slice(clip_start, clip_end or None)
    start, stop, _ = asked.indices(num_rows)
    return range(start, max(start, stop))
