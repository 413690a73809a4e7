"""What a user wants of a compressed table: one number, a size or a quality."""

import math
import numbers
from dataclasses import dataclass, fields
from typing import Protocol

from nncompress.errors import InputError

# A table with fewer rows has too few neighbours to tell its quality by.
_FEW_ROWS = 1_000


class Measured(Protocol):
    """What targets are compared with."""

    @property
    def distance(self) -> float:
        """The mean Euclidean distance."""

    @property
    def cosine(self) -> float:
        """The mean cosine."""


@dataclass(frozen=True)
class Target:
    """A goal for a size or a quality; exactly one is given.

    Attributes:
        residual_bits: The most bits of a row's residual stage in the mean, tables that all rows
            share aside.
        bits_per_dim: The most bits for each number of the table, all counted but words.
        bytes_per_row: The most bytes for each row, all counted but words.
        distance: The largest mean Euclidean distance, in the units of the matrix.
        cosine: The smallest mean cosine between rows and their reconstructions.
        recall: The smallest share of a row's 10 nearest rows that are kept.

    Raises:
        InputError: None or several are given, or one is out of its range.
    """

    residual_bits: float | None = None
    bits_per_dim: float | None = None
    bytes_per_row: float | None = None
    distance: float | None = None
    cosine: float | None = None
    recall: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in _NAMES if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(
                f"wanted one target, and {' and '.join(given).replace('_', ' ') or 'none'} given"
            )
        if isinstance(self.value, bool) or not isinstance(self.value, numbers.Real):
            raise InputError(
                f"the target {self.name.replace('_', ' ')} is {self.value!r:.60}; wanted a number"
            )
        if not (self.value > 0 and math.isfinite(self.value)):
            raise InputError(
                f"the target {self.name.replace('_', ' ')} is {self.value:g}; "
                "wanted a positive number"
            )
        if self.is_of_directions and self.value >= 1:
            raise InputError(f"the target {self.name} is {self.value:g}; wanted less than 1")

    @classmethod
    def usual(cls, num_rows: int) -> "Target":
        """Returns what is aimed at where nothing is asked for.

        Nine of ten nearest neighbours are kept; a table that is too small to speak of neighbours
        gets a mean cosine of 0.98.

        Args:
            num_rows: N.
        """
        return cls(cosine=0.98) if num_rows < _FEW_ROWS else cls(recall=0.9)

    @property
    def name(self) -> str:
        """The name of what is given."""
        return next(name for name in _NAMES if getattr(self, name) is not None)

    @property
    def value(self) -> float:
        """What is given."""
        return getattr(self, self.name)

    @property
    def is_size(self) -> bool:
        """Whether a size is wanted, and no quality."""
        return self.name in ("residual_bits", "bits_per_dim", "bytes_per_row")

    @property
    def is_of_directions(self) -> bool:
        """Whether it is reached by rows that are near for their length."""
        return self.name in ("cosine", "recall")

    def met(self, point: Measured) -> bool:
        """Tells whether a mean distance or a mean cosine is good enough."""
        if self.distance is not None:
            return point.distance <= self.distance
        return point.cosine >= self.value

    def __str__(self) -> str:
        return _WORDS[self.name].format(self.value)


_NAMES = tuple(field.name for field in fields(Target))
_WORDS = {
    "residual_bits": "{:.10g} bits a row of the residual stage",
    "bits_per_dim": "{:g} bits a dimension",
    "bytes_per_row": "{:g} bytes a row",
    "distance": "a mean distance of {:g}",
    "cosine": "a mean cosine of {:.10g}",
    "recall": "{:.10g} of each row's 10 nearest neighbours",
}
