"""A start for refinement without a trained encoder: residual quantization.

Source: Chen et al., "Approximate Nearest Neighbor Search by Residual Vector Quantization", Sensors
2010 (each group quantizes what the groups before it leave).
"""

from types import ModuleType

import numpy as np

from nncompress.random.noise import Stream, generator
from nncompress.refinement.engines.interface import Array, Engine
from nncompress.refinement.rows import CodedRows

_ITERATIONS = 8
_BLOCK_NUMBERS = 1 << 22  # distances at a time


def residual_start(rows: CodedRows) -> None:
    """Replaces codes and codebook by those of residual quantization.

    Args:
        rows: A sample that fits in memory.
    """
    if rows.record is None or not rows.record.has_more:
        _quantize_residuals(rows)
    rows.fit()


def _quantize_residuals(rows: CodedRows) -> None:
    random = generator(rows.seed, Stream.RESIDUAL_START)
    engine, num_codewords = rows.engine, rows.num_codewords
    residuals = engine.take(rows, np.arange(len(rows.matrix)))
    for group in range(rows.codes.shape[1]):
        first = random.permutation(len(residuals))[:num_codewords]
        codewords, codes = _k_means(engine, residuals, rows.weights, first, num_codewords)
        residuals -= codewords[codes]
        own = slice(group * num_codewords, (group + 1) * num_codewords)
        rows.codebook[own] = engine.to_host(codewords)
        rows.codes[:, group] = engine.to_host(codes)


def _k_means(
    engine: Engine, x: Array, weights: np.ndarray, first: np.ndarray, num_centres: int
) -> tuple[Array, Array]:
    """Runs a few iterations of Lloyd's algorithm, starting from given rows.

    Args:
        engine: The engine to compute with.
        x: The rows, float32 ``(n, D)``.
        weights: Their weights, float64 ``(n,)``.
        first: Numbers of the rows to use as the first centres; at most K.
        num_centres: K.

    Returns:
        Centres, float32 ``(K, D)``, and the centre of each row, ``(n,)``. A centre without rows
        is 0.
    """
    xp = engine.xp
    centres = xp.zeros((num_centres, x.shape[1]), dtype=np.float32)
    centres[: len(first)] = x[xp.asarray(first)]
    for _ in range(_ITERATIONS):
        centres = engine.means(x, weights, _nearest(xp, x, centres), num_centres)
    return centres, _nearest(xp, x, centres)


def _nearest(xp: ModuleType, x: Array, centres: Array) -> Array:
    """Returns the nearest centre of each row."""
    squares = xp.einsum("kd,kd->k", centres, centres)
    block = max(1, _BLOCK_NUMBERS // len(centres))
    return xp.concatenate([
        xp.argmin(squares - 2.0 * (x[first : first + block] @ centres.T), axis=1)
        for first in range(0, len(x), block)
    ])  # fmt: skip
