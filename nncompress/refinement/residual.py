"""A start for refinement that knows no encoder: residual quantization.

Source: Chen et al., "Approximate Nearest Neighbor Search by Residual Vector Quantization", Sensors
2010 (each group quantizes what the groups before it left).
"""

import numpy as np

from nncompress.autoencoder.noise import Stream, generator
from nncompress.refinement.coded_rows import CodedRows

_ITERATIONS = 8


def residual_start(rows: CodedRows) -> None:
    """Replaces codes and codebook by those of residual quantization.

    Args:
        rows: A sample that fits in memory.
    """
    random = generator(rows.seed, Stream.RESIDUAL_START)
    residuals = rows.normalized(rows.matrix.take(np.arange(len(rows.matrix))))
    num_codewords = rows.num_codewords
    for group in range(rows.codes.shape[1]):
        codewords, codes = _k_means(residuals, rows.weights, num_codewords, random)
        residuals -= codewords[codes]
        rows.codebook[group * num_codewords : (group + 1) * num_codewords] = codewords
        rows.codes[:, group] = codes
    rows.fit()


def _k_means(
    x: np.ndarray, weights: np.ndarray, num_centres: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm from random rows, a few iterations of it.

    Args:
        x: float32 ``(n, D)``.
        weights: float64 ``(n,)``.
        num_centres: K.
        random: Chooses the first centres.

    Returns:
        Centres, float32 ``(K, D)``, and the centre of each row, ``(n,)``. A centre without rows
        is 0.
    """
    indices = random.permutation(len(x))[:num_centres]
    centres = np.zeros((num_centres, x.shape[1]), dtype=np.float32)
    centres[: len(indices)] = x[indices]
    for iteration in range(_ITERATIONS + 1):
        distances = np.einsum("kd,kd->k", centres, centres) - 2.0 * (x @ centres.T)
        nearest = np.argmin(distances, axis=1)
        if iteration == _ITERATIONS:
            return centres, nearest
        members = np.zeros((len(x), num_centres), dtype=np.float32)
        members[np.arange(len(x)), nearest] = weights
        sizes = members.sum(axis=0)
        centres = (members.T @ x) / np.where(sizes > 0, sizes, 1)[:, None]
    raise AssertionError
