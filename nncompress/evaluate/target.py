"""A user's target for a compressed table: one number, a size or a quality."""

import math
import numbers
from dataclasses import dataclass, fields
from typing import Protocol

from nncompress.errors import InputError

# With fewer rows, neighbours say too little about quality.
FEW_ROWS = 1_000


class Measured(Protocol):
    """Measurements that a target is compared with."""

    @property
    def distance(self) -> float:
        """The mean Euclidean distance."""

    @property
    def cosine(self) -> float:
        """The mean cosine."""


@dataclass(frozen=True)
class Target:
    """A target for size or quality; exactly one is given.

    Attributes:
        residual_bits: The largest mean number of bits in a row's residual stage, not counting
            tables shared by all rows.
        bits_per_dim: The most bits per number of the table, counting everything except words.
        bytes_per_row: The most bytes per row, counting everything except words.
        distance: The largest mean Euclidean distance, in the units of the matrix.
        cosine: The smallest mean cosine between rows and their reconstructions.
        recall: The smallest share of a row's 10 nearest rows that is kept.

    Raises:
        InputError: None or several are given, or the value is out of its range.
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
            names = " and ".join(given).replace("_", " ") or "none"
            raise InputError(f"expected one target, got {names}")
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
        """Returns the default target.

        It is to keep nine out of ten nearest neighbours or, for a table with too few rows to judge
        by neighbours, a mean cosine of 0.98.

        Args:
            num_rows: N.
        """
        return cls(cosine=0.98) if num_rows < FEW_ROWS else cls(recall=0.9)

    @property
    def name(self) -> str:
        """The name of the given target."""
        return next(name for name in _NAMES if getattr(self, name) is not None)

    @property
    def value(self) -> float:
        """The value of the given target."""
        return getattr(self, self.name)

    @property
    def is_size(self) -> bool:
        """Whether the target is a size, not a quality."""
        return self.name in ("residual_bits", "bits_per_dim", "bytes_per_row")

    @property
    def is_of_directions(self) -> bool:
        """Whether the target concerns directions, so that rows may be close for their length."""
        return self.name in ("cosine", "recall")

    def met(self, point: Measured) -> bool:
        """Tells whether a mean distance or a mean cosine is good enough."""
        if self.distance is not None:
            return point.distance <= self.distance
        return point.cosine >= self.value

    def __str__(self) -> str:
        text = _WORDS[self.name].format(self.value)
        return text.replace("bits", "bit").replace("bytes", "byte") if self.value == 1 else text


_NAMES = tuple(field.name for field in fields(Target))
_WORDS = {
    "residual_bits": "{:.10g} bits a row of the residual stage",
    "bits_per_dim": "{:g} bits a dimension",
    "bytes_per_row": "{:g} bytes a row",
    "distance": "a mean distance of {:g}",
    "cosine": "a mean cosine of {:.10g}",
    "recall": "{:.10g} of each row's 10 nearest neighbours",
}
