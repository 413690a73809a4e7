"""A start for refinement that knows no encoder: residual quantization.

Source: Chen et al., "Approximate Nearest Neighbor Search by Residual Vector Quantization", Sensors
2010 (each group quantizes what the groups before it left).
"""

import numpy as np

from nncompress.autoencoder.noise import Stream, generator
from nncompress.refinement.coded_rows import CodedRows

_ITERATIONS = 8
_BLOCK_NUMBERS = 1 << 22  # distances at a time


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
    for _ in range(_ITERATIONS):
        nearest = _nearest(x, centres)
        order = np.argsort(nearest, kind="stable")
        used, first = np.unique(nearest[order], return_index=True)
        weighted = x[order] * weights[order, None].astype(np.float32)
        sizes = np.add.reduceat(weights[order], first)
        centres[:] = 0
        sums = np.add.reduceat(weighted, first, axis=0)
        centres[used] = sums / np.where(sizes > 0, sizes, 1)[:, None]
    return centres, _nearest(x, centres)


def _nearest(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Returns the nearest centre of each row."""
    squares = np.einsum("kd,kd->k", centres, centres)
    block = max(1, _BLOCK_NUMBERS // len(centres))
    return np.concatenate([
        np.argmin(squares - 2.0 * (x[first : first + block] @ centres.T), axis=1)
        for first in range(0, len(x), block)
    ])  # fmt: skip
