"""The configurations and results of methods for `rates.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Fitted:
    """A method's result for a matrix.

    Attributes:
        decoded: The reconstruction, ``(N, D)``.
        bytes_per_row: All bytes divided by the rows, if they are known only after fitting.
        code_bits: Bits of a row's codes, if they are known only after fitting.
    """

    decoded: np.ndarray
    bytes_per_row: float | None = None
    code_bits: float | None = None


@dataclass(frozen=True)
class Configuration:
    """A method with its sizes.

    Attributes:
        label: The description of the sizes in the table.
        bytes_per_row: All bytes, including shared ones, divided by the rows.
        fit: A module-level function of the matrix and the options.
        options: Its options.
        family: Configurations of one family take time at least in proportion to ``work``.
        work: See ``family``.
        cheaper: The configuration to try if this one takes too long.
    """

    label: str
    bytes_per_row: float
    fit: Callable[..., Fitted]
    options: dict = field(default_factory=dict)
    family: str = ""
    work: float = 1.0
    cheaper: "Configuration | None" = None
