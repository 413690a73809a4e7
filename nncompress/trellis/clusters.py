"""Clusters of rows: k-means (Lloyd, "Least squares quantization in PCM", 1982)."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nncompress.sources.matrix import spaced_rows

_ROUNDS = 12
# The least rows of a cluster, as its centre takes the bits of several rows, and the rows that each
# centre is fitted to. If that allows only a few clusters, there is a single one.
_ROWS, _FITTED_ROWS = 80, 16
_FEWEST_BITS, _MOST_BITS = 3, 10
_CHUNK = 2_048


def cluster_bits_for(num_rows: int, num_fitted: int) -> int:
    """Returns the number of bits that number the clusters; 0 for a single cluster.

    Args:
        num_rows: N, the rows that share the centres.
        num_fitted: The rows that centres are fitted to.
    """
    bits = min(math.log2(num_rows / _ROWS), math.log2(num_fitted / _FITTED_ROWS), _MOST_BITS)
    return round(bits) if bits >= _FEWEST_BITS else 0


def find_centres(
    rows: np.ndarray, weights: np.ndarray | None, count: int, threads: int
) -> np.ndarray:
    """Finds the centres of clusters, starting from evenly spaced rows.

    Args:
        rows: float32 ``(n, D)``.
        weights: The weight of each row, float64 ``(n,)``; None: all are equal.
        count: The number of clusters, at most n.
        threads: The number of threads.

    Returns:
        float32 ``(count, D)``.
    """
    centres = rows[spaced_rows(count, len(rows))].astype(np.float32)
    own = np.ones(len(rows)) if weights is None else weights
    for _ in range(_ROUNDS):
        clusters, distances = nearest(rows, centres, threads)
        totals = np.bincount(clusters, own, minlength=count)
        order = np.argsort(clusters, kind="stable")
        starts = np.searchsorted(clusters[order], np.arange(count))
        sums = np.add.reduceat(
            (rows * own[:, None])[order], np.minimum(starts, len(rows) - 1), axis=0
        )
        filled = totals > 0
        centres[filled] = (sums[filled] / totals[filled, None]).astype(np.float32)
        empty = np.flatnonzero(~filled)
        centres[empty] = rows[np.argsort(-distances * own, kind="stable")[: len(empty)]]
    return centres


def nearest(rows: np.ndarray, centres: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest centre of each row, int64 ``(n,)``, and its squared distance."""
    # Rescaled to units in which squares neither overflow nor underflow.
    exponent = int(np.frexp(max(float(np.abs(centres).max()), float(np.abs(rows).max())))[1])
    centres = np.ldexp(centres, -exponent)
    squares = np.square(centres, dtype=np.float64).sum(axis=1).astype(np.float32) / 2
    clusters = np.empty(len(rows), np.int64)
    distances = np.empty(len(rows), np.float64)

    def assign(first: int) -> None:
        block = np.ldexp(rows[first : first + _CHUNK], -exponent)
        scores = squares - block @ centres.T
        best = scores.argmin(axis=1)
        clusters[first : first + _CHUNK] = best
        own = np.einsum("nd,nd->n", block, block)
        own += 2 * scores[np.arange(len(block)), best]
        distances[first : first + _CHUNK] = np.ldexp(own.astype(np.float64), 2 * exponent)

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(assign, _firsts(len(rows))):
            pass
    return clusters, distances


def _firsts(num_rows: int) -> Iterator[int]:
    yield from range(0, num_rows, _CHUNK)
