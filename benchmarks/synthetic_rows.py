"""Rows of a table of any size, generated as they are read: clusters with a measured spectrum."""

from dataclasses import dataclass

import numpy as np

from nncompress.trellis.clusters import find_centres, nearest

_CHUNK = 4_096  # rows generated together
_MEASURED_CLUSTERS = 256


@dataclass(frozen=True)
class Spectrum:
    """The variances of a table along its principal axes.

    Attributes:
        between: The variances of its clusters' centres, float64 ``(D,)``.
        within: The variances of rows about their centres, float64 ``(D,)``.
    """

    between: np.ndarray
    within: np.ndarray


def measured(matrix: np.ndarray, dim: int) -> Spectrum:
    """Measures a table's spectrum along its first principal axes.

    Args:
        matrix: float32 ``(n, D)``.
        dim: The number of axes, at most D.
    """
    centred = matrix.astype(np.float64) - matrix.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    along = np.ascontiguousarray(centred @ axes[:, ::-1][:, :dim], np.float32)
    centres = find_centres(along, None, _MEASURED_CLUSTERS, 1)
    own = centres[nearest(along, centres, 1)[0]]
    return Spectrum(own.var(axis=0, dtype=float), (along - own).var(axis=0, dtype=float))


class SyntheticRows:
    """A table of clustered rows: any object with a shape, a type and slices can be opened as one.

    Row n belongs to a random cluster, and differs from its centre by normal noise; both depend
    only on the seed and the row's number.

    Args:
        num_rows: N.
        spectrum: The variances of rows.
        num_clusters: The number of clusters.
        seed: The seed.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self, num_rows: int, spectrum: Spectrum, num_clusters: int = 65_536, seed: int = 0
    ) -> None:
        self.shape = num_rows, len(spectrum.between)
        self._seed, self._deviations = seed, np.sqrt(spectrum.within).astype(np.float32)
        random = np.random.default_rng((seed, 0))
        centres = random.standard_normal((num_clusters, self.shape[1]), np.float32)
        self._centres = centres * np.sqrt(spectrum.between).astype(np.float32)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Generates rows, float32 ``(n, D)``."""
        first, last, _ = rows.indices(self.shape[0])
        parts = [
            self._chunk(chunk)[max(0, first - chunk * _CHUNK) : last - chunk * _CHUNK]
            for chunk in range(first // _CHUNK, -(-last // _CHUNK))
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.shape[1]), np.float32)

    def _chunk(self, chunk: int) -> np.ndarray:
        random = np.random.Generator(np.random.SFC64((self._seed, 1, chunk)))
        clusters = random.integers(len(self._centres), size=_CHUNK)
        rows = random.standard_normal((_CHUNK, self.shape[1]), np.float32)
        rows *= self._deviations
        rows += self._centres[clusters]
        return rows
