"""The weights that decide how many bits each row gets."""

import numpy as np

from nncompress.sources import EmbeddingMatrix


def bit_weights(
    matrix: EmbeddingMatrix, weights: np.ndarray | None, *, by_length: bool = False
) -> np.ndarray:
    """Returns the weights of the rows' squared errors, by which rows get different rates.

    Args:
        matrix: The rows, ``(N, D)``.
        weights: The weight of each, float64 ``(N,)``; None: one over its squared length, so that
            short and long rows have the same error relative to their lengths.
        by_length: Whether to divide each given weight by its row's squared length.

    Returns:
        float64 ``(N,)``; the median of the weights other than 0 is 1.
    """
    if weights is None:
        weights = usual_weights(matrix)
    elif by_length:
        weights = weights * usual_weights(matrix)
    return weights / _unit_of(weights) if weights.any() else np.ones(len(matrix))


def usual_unit(matrix: EmbeddingMatrix) -> float:
    """Returns the median of the usual weights of a matrix's rows, leaving out rows of zeros.

    It scales the weights of rows that are added to the table later.
    """
    return _unit_of(usual_weights(matrix))


def usual_weights(matrix: EmbeddingMatrix) -> np.ndarray:
    """Returns one over each row's squared length, float64 ``(N,)``; 0 for rows of zeros."""
    return np.concatenate([weights_of(rows) for _, rows in matrix.batches()])


def weights_of(rows: np.ndarray) -> np.ndarray:
    """Returns one over each row's squared length, float64 ``(n,)``; 0 for rows of zeros.

    Rows of zeros are reconstructed exactly with any step.

    Args:
        rows: float32 ``(n, D)``.
    """
    squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    return np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)


def _unit_of(weights: np.ndarray) -> float:
    return float(np.median(weights[weights > 0])) if weights.any() else 1.0
