"""The weights by which rows get bits."""

import numpy as np

from nncompress.sources import EmbeddingMatrix


def bit_weights(
    matrix: EmbeddingMatrix, weights: np.ndarray | None, *, by_length: bool = False
) -> np.ndarray:
    """Returns the weights of the rows' squared errors, for rows of several rates.

    Args:
        matrix: The rows, ``(N, D)``.
        weights: The weight of each, float64 ``(N,)``; None: one over its squared length, so that
            short rows come as near to the original, for their length, as long ones.
        by_length: Whether weights that are given count for rows' lengths too: each is divided by
            its row's squared length.

    Returns:
        float64 ``(N,)``, whose median is 1 among those that are not 0.
    """
    if weights is None:
        weights = usual_weights(matrix)
    elif by_length:
        weights = weights * usual_weights(matrix)
    return weights / _unit_of(weights) if weights.any() else np.ones(len(matrix))


def usual_unit(matrix: EmbeddingMatrix) -> float:
    """Returns the median of the usual weights of a matrix's rows, those of zeros aside.

    Other rows of the same table get their bits by it.
    """
    return _unit_of(usual_weights(matrix))


def usual_weights(matrix: EmbeddingMatrix) -> np.ndarray:
    """Returns one over each row's squared length, float64 ``(N,)``; 0 for rows of zeros."""
    return np.concatenate([weights_of(rows) for _, rows in matrix.batches()])


def weights_of(rows: np.ndarray) -> np.ndarray:
    """Returns one over each row's squared length, float64 ``(n,)``; 0 for rows of zeros.

    Rows of zeros are at no distance from zeros, whatever their step.

    Args:
        rows: float32 ``(n, D)``.
    """
    squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    return np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)


def _unit_of(weights: np.ndarray) -> float:
    return float(np.median(weights[weights > 0])) if weights.any() else 1.0
