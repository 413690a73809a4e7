"""The rows that a search is to look at."""

import numpy as np

from nncompress.errors import InputError


def row_numbers(rows: object, num_rows: int) -> np.ndarray:
    """Returns row numbers in rising order, each once, int64 ``(n,)``.

    Args:
        rows: Row numbers from 0 on, in any order, of which some may be there twice; or a truth
            value for each row.
        num_rows: N.

    Raises:
        InputError: They are something else, or there is no row of a number.
    """
    wanted = f"wanted row numbers, or {num_rows:,} truth values, in one dimension"
    try:
        given = np.asarray(rows)
    except ValueError as error:
        raise InputError(f"rows to look at: {error}; {wanted}") from None
    if given.dtype == np.bool_ and given.shape == (num_rows,):
        return np.flatnonzero(given)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "ui"):
        raise InputError(
            f"rows to look at of type {given.dtype} and shape {given.shape}; {wanted}"
        )
    if given.size and not 0 <= given.min() <= given.max() < num_rows:
        bad = given.min() if given.min() < 0 else given.max()
        raise InputError(f"there is no row {bad} to look at; wanted 0 to {num_rows - 1:,}")
    return np.unique(given.astype(np.int64))
