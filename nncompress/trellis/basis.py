"""What rows are told along: their mean, the centres of their clusters, and principal axes."""

from dataclasses import dataclass

import numpy as np

from nncompress.embedding.rice import RiceRows
from nncompress.refinement.blas import one_blas_thread
from nncompress.trellis.axes import fit_axes
from nncompress.trellis.clusters import find_centres, nearest


@dataclass(frozen=True)
class Basis:
    """A mean, centres and axes, which hardly depend on the quantization step.

    Attributes:
        mean: float32 ``(D,)``.
        centres: Of the centred rows' clusters, float32 ``(C, D)``; one of zeros for one cluster.
        reflections: The axes.
        squares: The mean squares of what centres leave, along the axes, float64 ``(D,)``.
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
        weights: The weight of each for the centres, ``(n,)``; None: all the same.
        cluster_bits: Bits that tell a row's cluster.
        distortion: About the mean squared error of a coordinate that is coded.
        num_rows: N, the rows that share what the axes take.
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
