"""The centre and scale that make training independent of a matrix's units."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import numpy as np

# A column whose deviation is this small beside its mean is constant: float64 sums round this much.
_ROUNDING = 1e-12
# The exponents of 2 between which a constant table needs no scale.
_LEAST_EXPONENT, _MOST_EXPONENT = -32, 32


@dataclass(frozen=True)
class Normalization:
    """The affine map applied to rows before the encoder: ``(x - centre) / scale``.

    Attributes:
        centre: float32 ``(D,)``.
        scale: A positive number.
    """

    centre: np.ndarray
    scale: float

    @classmethod
    def identity(cls, dim: int) -> "Normalization":
        """Returns the map that changes nothing, for rows of ``dim`` columns."""
        return cls(np.zeros(dim, dtype=np.float32), 1.0)

    def apply(self, rows: np.ndarray, xp: ModuleType = np) -> np.ndarray:
        """Returns normalized rows.

        Args:
            rows: float32 ``(n, D)``.
            xp: Their array library: NumPy or CuPy.
        """
        return (rows - xp.asarray(self.centre)) / np.float32(self.scale)


class Statistics:
    """Means and variances of columns, from one pass over the rows.

    Each block is centred by itself, and blocks are combined as in Chan, Golub and LeVeque,
    "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        self._count = 0.0
        self._total = np.zeros(dim)
        self._squares = np.zeros(dim)  # of deviations from the mean

    def add(self, rows: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Adds a block of rows.

        Args:
            rows: float32 ``(n, D)``.
            weights: The weight of each, float64 ``(n,)``; None: all 1.
        """
        if weights is None:
            count, total = float(len(rows)), rows.sum(axis=0, dtype=np.float64)
            deviations = rows - total / count
            self._squares += np.einsum("nd,nd->d", deviations, deviations)
        else:
            count, total = float(weights.sum()), weights @ rows
            if count == 0.0:
                return
            deviations = rows - total / count
            self._squares += np.einsum("n,nd,nd->d", weights, deviations, deviations)
        if self._count:
            apart = total / count - self._total / self._count
            self._squares += apart**2 * (self._count * count / (self._count + count))
        self._total += total
        self._count += count

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the state as named arrays, from which ``of_arrays`` restores it."""
        return {
            "count": np.array(self._count),
            "total": self._total,
            "squares": self._squares,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Statistics":
        """Restores statistics from the arrays that ``arrays`` returned."""
        statistics = cls(len(arrays["total"]))
        statistics._count = float(arrays["count"])
        statistics._total, statistics._squares = arrays["total"].copy(), arrays["squares"].copy()
        return statistics

    @property
    def normalization(self) -> Normalization:
        """The map that centres each column and divides all of them by one number.

        The number is the root of the mean column variance. If that is 0, the number is 1, or a
        power of 2 for a table of very large or very small numbers.
        """
        mean, variance = self._moments()
        scale = float(np.sqrt(variance.mean())) or _unit_of(float(np.abs(mean).max()))
        return Normalization(mean.astype(np.float32), scale)

    @property
    def mean_row_loss(self) -> float:
        """Half the mean squared distance between the rows and their mean."""
        return 0.5 * float(self._moments()[1].sum())

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean and the variance of each column, float64 ``(D,)``."""
        mean, variance = self._total / self._count, self._squares / self._count
        variance[np.sqrt(variance) <= _ROUNDING * np.abs(mean)] = 0.0
        return mean, variance


def _unit_of(magnitude: float) -> float:
    exponent = math.frexp(magnitude)[1]
    return 1.0 if _LEAST_EXPONENT <= exponent <= _MOST_EXPONENT else math.ldexp(1.0, exponent)
