"""The weights by which rows get bits."""

import numpy as np

from nncompress.sources import EmbeddingMatrix


def bit_weights(matrix: EmbeddingMatrix, weights: np.ndarray | None) -> np.ndarray:
    """Returns the weights of the rows' squared errors, for rows of several rates.

    Args:
        matrix: The rows, ``(N, D)``.
        weights: The weight of each, float64 ``(N,)``; None: one over its squared length, so that
            short rows come as near to the original, for their length, as long ones.

    Returns:
        float64 ``(N,)``, whose median is 1 among those that are not 0.
    """
    if weights is None:
        squares = np.concatenate([
            np.einsum("nd,nd->n", rows, rows, dtype=np.float64) for _, rows in matrix.batches()
        ])  # fmt: skip
        # Rows of zeros are at no distance from zeros, whatever their step.
        weights = np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)
    if not weights.any():
        return np.ones(len(matrix))
    return weights / np.median(weights[weights > 0])
