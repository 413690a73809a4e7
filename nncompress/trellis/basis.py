"""The basis in which rows are coded: their mean, the centres of clusters, and principal axes."""

from dataclasses import dataclass

import numpy as np

from nncompress.embedding.rice import RiceRows
from nncompress.refinement.blas import one_blas_thread
from nncompress.trellis.axes import fit_axes
from nncompress.trellis.clusters import find_centres, nearest


@dataclass(frozen=True)
class Basis:
    """The mean, the centres and the axes, which hardly depend on the quantization step.

    Attributes:
        mean: float32 ``(D,)``.
        centres: The centres of the centred rows' clusters, float32 ``(C, D)``; a single one of
            zeros for one cluster.
        reflections: The axes.
        squares: The mean squares of the rows' distances from their centres, along each axis,
            float64 ``(D,)``.
    """

    mean: np.ndarray
    centres: np.ndarray
    reflections: RiceRows
    squares: np.ndarray


@one_blas_thread
def fit_basis(
    rows: np.ndarray,
    weights: np.ndarray | None,
    cluster_bits: int,
    distortion: float,
    num_rows: int,
    threads: int,
) -> Basis:
    """Fits a basis to rows.

    Args:
        rows: float32 ``(n, D)``.
        weights: The weight of each row for the centres, ``(n,)``; None: all are equal.
        cluster_bits: The number of bits that number the clusters.
        distortion: The approximate mean squared error of a coded coordinate.
        num_rows: N, the rows that share the bits of the axes.
        threads: The number of threads.
    """
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = rows - mean
    centres = np.zeros((1, rows.shape[1]), np.float32)
    clusters = np.zeros(len(rows), np.int64)
    if cluster_bits:
        centres = find_centres(centred, weights, 1 << cluster_bits, threads)
        clusters, _ = nearest(centred, centres, threads)
    within = (centred - centres[clusters]).astype(np.float64)
    reflections, squares = fit_axes(within.T @ within / len(rows), distortion, num_rows)
    return Basis(mean, centres, reflections, squares)
