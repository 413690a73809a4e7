"""What the methods of `rates.py` are made of."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Fitted:
    """What a method makes of a matrix.

    Attributes:
        decoded: The reconstruction, ``(N, D)``.
        bytes_per_row: All bytes over the rows, where they are known only now.
        code_bits: Bits of the codes of a row, where they are known only now.
    """

    decoded: np.ndarray
    bytes_per_row: float | None = None
    code_bits: float | None = None


@dataclass(frozen=True)
class Configuration:
    """A method with its sizes.

    Attributes:
        label: What the table says of the sizes.
        bytes_per_row: All bytes, shared ones too, over the rows.
        fit: A function of a module, of the matrix and the options.
        options: Its options.
        family: Configurations of one family take seconds at least in proportion to ``work``.
        work: See ``family``.
        cheaper: What to try where this one takes too long.
    """

    label: str
    bytes_per_row: float
    fit: Callable[..., Fitted]
    options: dict = field(default_factory=dict)
    family: str = ""
    work: float = 1.0
    cheaper: "Configuration | None" = None
