"""The quality of a compressed table's rows, and the lower bound for any code of as many bits."""

from dataclasses import dataclass

import numpy as np

from benchmarks.distortion import gaussian_bound
from nncompress.sources.matrix import spaced_rows

NEIGHBOURS = 10
_QUERIES = 1_000
_QUERIES_AT_ONCE = 250


@dataclass(frozen=True)
class Quality:
    """Means over rows.

    Attributes:
        error: Mean squared distance divided by the variance, that is by the mean squared distance
            of the rows from their mean.
        cosine: Mean cosine between a row and its reconstruction.
        recall: Mean share of a row's ten nearest rows by cosine that are still among its ten
            nearest.
    """

    error: float
    cosine: float
    recall: float


class Original:
    """The rows that reconstructions are compared with, float32 ``(N, D)``."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self._variance = float(rows.astype(np.float64).var(axis=0).sum())
        self._queries = spaced_rows(_QUERIES, len(rows))
        self._neighbours = _nearest(rows, self._queries)

    def quality(self, decoded: np.ndarray) -> Quality:
        """Returns the quality of a reconstruction, ``(N, D)``."""
        rows = self._rows.astype(np.float64)
        squares = ((rows - decoded) ** 2).sum(axis=1)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(decoded, axis=1)
        cosines = np.einsum("nd,nd->n", rows, decoded) / np.where(lengths > 0, lengths, 1)
        found = _nearest(decoded, self._queries)
        pairs = zip(self._neighbours, found, strict=True)
        recall = np.mean([np.isin(one, other).mean() for one, other in pairs])
        return Quality(
            float(squares.mean() / self._variance), float(cosines.mean()), float(recall)
        )

    def gaussian_error(self, bits: float) -> float:
        """Returns the least possible error for Gaussian rows with the same covariance.

        Args:
            bits: Bits per row.
        """
        return float(2 * gaussian_bound(self._rows, bits) / self._variance)


def _nearest(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Returns the numbers of each query's nearest other rows by cosine, ``(Q, 10)``."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    found = []
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        some = queries[first : first + _QUERIES_AT_ONCE]
        scores = units[some] @ units.T
        scores[np.arange(len(some)), some] = -np.inf
        found.append(np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS])
    return np.concatenate(found)
