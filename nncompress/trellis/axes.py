"""Principal axes as reflections, which take no more bits than they save in rows.

Sources: Householder, "Unitary triangularization of a nonsymmetric matrix", 1958; reverse
water-filling: Cover and Thomas, "Elements of Information Theory", 10.3.3.
"""

import math

import numpy as np

from nncompress.embedding.reflections import normal_of
from nncompress.embedding.rice import RiceRows, bits_of

# The least number of axes whose eigenvectors are computed together, and the most times that this
# is done: reflecting a covariance at rounded axes changes its eigenvectors only a little.
_AT_ONCE, _MOST_SEARCHES = 16, 20
# The most entries of covariances to reflect, which takes a minute. With more than about 2,000
# columns, not all can have axes.
_MOST_WORK = 5_000_000_000
# The coarseness of the integers: the share of an axis's own bits that their rounding may cost.
_COARSENESS = 2.0


def fit_axes(
    covariance: np.ndarray, distortion: float, num_rows: int
) -> tuple[RiceRows, np.ndarray]:
    """Finds reflections that take rows to their principal axes.

    An axis is worth its bits as long as it saves all rows together more than that, at the rate of
    a Gaussian. The remaining columns are kept as the reflections leave them.

    Args:
        covariance: The covariance of the rows' columns, float64 ``(D, D)``.
        distortion: The mean squared error of a coded coordinate.
        num_rows: N, the rows that share the axes' bits.

    Returns:
        The reflections, and the mean squares of the coordinates, float64 ``(D,)``.
    """
    dim = len(covariance)
    cost_of_a_bit = 2 * math.log(2) * distortion
    rest = covariance.copy()
    integers: list[np.ndarray] = []
    costs = [_cost(np.diag(rest), distortion).sum()]
    done, spent = 0.0, 0.0
    vectors = np.empty((dim, 0))
    at_once = max(_AT_ONCE, dim // _MOST_SEARCHES)
    for s in range(min(dim - 1, _MOST_WORK // dim**2)):
        if s % at_once == 0:
            values, found = np.linalg.eigh(rest)
            values, vectors = values[::-1], found[:, ::-1][:, :at_once]
        direction = vectors[:, 0]
        q = _rounded(direction, values, distortion, num_rows)
        integers.append(q)
        spent += bits_of(q)
        normal = normal_of(q)
        if normal is not None:
            rest -= np.outer(2 * normal, normal @ rest)
            rest -= np.outer(rest @ normal, 2 * normal)
            vectors = vectors - np.outer(2 * normal, normal @ vectors)
        done += float(_cost(rest[:1, 0], distortion)[0])
        rest = rest[1:, 1:]
        rest = (rest + rest.T) / 2
        costs.append(
            done + _cost(np.diag(rest), distortion).sum() + cost_of_a_bit * spent / num_rows
        )
        vectors = _orthonormal(vectors[1:, 1:])
        values = values[1:]
    kept = integers[: int(np.argmin(costs))]
    return RiceRows.of(kept), _mean_squares(covariance, kept)


def _cost(squares: np.ndarray, distortion: float) -> np.ndarray:
    """Returns the cost of coordinates: their squared error, plus their bits times a bit's cost."""
    squares = np.maximum(squares, 0.0)
    coded = distortion * (1 + np.log(np.maximum(squares / distortion, 1.0)))
    return np.where(squares > distortion, coded, squares)


def _rounded(
    direction: np.ndarray, values: np.ndarray, distortion: float, num_rows: int
) -> np.ndarray:
    """Returns a direction in integers.

    An inexact direction leaks the axis's variance to the other axes. So the integers are finer the
    more rows there are and the larger the axis's variance is beside theirs.
    """
    largest = max(float(values[0]), float(np.finfo(float).tiny))
    harm = float(np.mean(1 / np.maximum(values[1:], distortion))) if len(values) > 1 else 1.0
    step = math.sqrt(12 * _COARSENESS / (num_rows * largest * harm))
    step = min(step, 1.5 / math.sqrt(len(direction)), 0.7 * float(np.abs(direction).max()))
    return np.rint(direction / step).astype(np.int64)


def _orthonormal(vectors: np.ndarray) -> np.ndarray:
    """Orthonormalizes vectors again, in order; each keeps its sign."""
    if vectors.shape[1] == 0:
        return vectors
    basis, triangle = np.linalg.qr(vectors)
    return basis * np.where(np.diag(triangle) < 0, -1.0, 1.0)


def _mean_squares(covariance: np.ndarray, integers: list[np.ndarray]) -> np.ndarray:
    turned = covariance.copy()
    for s, q in enumerate(integers):
        normal = normal_of(q)
        if normal is not None:
            part = turned[s:, :]
            part -= np.outer(2 * normal, normal @ part)
            part = turned[:, s:]
            part -= np.outer(part @ normal, 2 * normal)
    return np.diag(turned).copy()
