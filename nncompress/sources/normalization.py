"""The centre and scale that make training independent of a matrix's units."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from nncompress.progress import progress_bar
from nncompress.sources.matrix import EmbeddingMatrix

# A column whose deviation is this small against its mean is constant: float64 sums round so.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Normalization:
    """The affine map that the encoder sees rows through: ``(x - centre) / scale``.

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


def fit_normalization(matrix: EmbeddingMatrix) -> Normalization:
    """Centres each column and scales all by one number.

    Args:
        matrix: The embedding matrix, read twice.

    Returns:
        The column means, and the root of the mean column variance, or 1 if that is 0.
    """
    with progress_bar(2 * len(matrix), "Measuring columns") as bar:
        total = np.zeros(matrix.dim)
        for _, rows in matrix.batches():
            total += rows.sum(axis=0, dtype=np.float64)
            bar.update(len(rows))
        mean = total / len(matrix)
        squares = np.zeros(matrix.dim)
        for _, rows in matrix.batches():
            deviations = rows - mean
            squares += np.einsum("nd,nd->d", deviations, deviations)
            bar.update(len(rows))
    variance = squares / len(matrix)
    variance[np.sqrt(variance) <= _ROUNDING * np.abs(mean)] = 0.0
    return Normalization(mean.astype(np.float32), float(np.sqrt(variance.mean())) or 1.0)
