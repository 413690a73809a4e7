"""The weights by which rows get bits."""

import math

import numpy as np

from nncompress.sources import EmbeddingMatrix
from nncompress.trellis.scales import RATIO

# Every step that rows may have takes row classes of its own.
_MOST_STEPS = 16


def bit_weights(matrix: EmbeddingMatrix, weights: np.ndarray | None) -> np.ndarray:
    """Returns the weights of the rows' squared errors, for rows of several rates.

    Args:
        matrix: The rows, ``(N, D)``.
        weights: The weight of each, float64 ``(N,)``; None: one over its squared length, so that
            short rows come as near to the original, for their length, as long ones.

    Returns:
        float64 ``(N,)``, of at most 16 values evenly spaced in logarithm, about 1.
    """
    if weights is None:
        squares = np.concatenate([
            np.einsum("nd,nd->n", rows, rows, dtype=np.float64) for _, rows in matrix.batches()
        ])  # fmt: skip
        if not squares.any():
            return np.ones(len(matrix))
        weights = 1.0 / np.where(squares > 0, squares, squares[squares > 0].min())
    # Rows without a weight get the longest step of all.
    logarithms = np.log(np.where(weights > 0, weights, weights[weights > 0].min()))
    unit = 2 * math.log(RATIO)  # of a weight, for a step that is one scale longer
    places = (logarithms - np.median(logarithms)) / unit
    stride = max(1, math.ceil((places.max() - places.min()) / (_MOST_STEPS - 1)))
    return np.exp(np.rint(places / stride) * stride * unit)
