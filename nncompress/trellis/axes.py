"""Principal axes as reflections: no more bits than what they save in rows.

Sources: Householder, "Unitary triangularization of a nonsymmetric matrix", 1958; reverse
water-filling: Cover and Thomas, "Elements of Information Theory", 10.3.3.
"""

import math

import numpy as np

from nncompress.embedding.reflections import normal_of
from nncompress.embedding.rice import RiceRows, bits_of

# Axes whose eigenvectors are found at once, at least, and how often they are found at most: those
# of a covariance that reflections of rounded axes have turned are close to the ones before.
_AT_ONCE, _MOST_SEARCHES = 16, 20
# The most entries of covariances that reflections go through: a minute's work. Of more than about
# 2,000 columns, not all can have axes.
_MOST_WORK = 5_000_000_000
# How coarse integers are: the share of an axis's own bits that their rounding may cost.
_COARSENESS = 2.0


def fit_axes(
    covariance: np.ndarray, distortion: float, num_rows: int
) -> tuple[RiceRows, np.ndarray]:
    """Finds reflections that take rows to their principal axes.

    An axis is worth its bits as long as what it saves all rows, at the rate of a Gaussian, is
    more. The columns that no reflection begins at are kept as they come out.

    Args:
        covariance: Of the rows' columns, float64 ``(D, D)``.
        distortion: The mean squared error of a coordinate that is coded.
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
    """Returns what coordinates cost: their squared error, and their bits at a bit's cost."""
    squares = np.maximum(squares, 0.0)
    coded = distortion * (1 + np.log(np.maximum(squares / distortion, 1.0)))
    return np.where(squares > distortion, coded, squares)


def _rounded(
    direction: np.ndarray, values: np.ndarray, distortion: float, num_rows: int
) -> np.ndarray:
    """Returns a direction in integers.

    A wrong direction leaks the axis's variance to the others. The finer of it the more rows and
    the larger the axis's variance beside theirs.
    """
    largest = max(float(values[0]), float(np.finfo(float).tiny))
    harm = float(np.mean(1 / np.maximum(values[1:], distortion))) if len(values) > 1 else 1.0
    step = math.sqrt(12 * _COARSENESS / (num_rows * largest * harm))
    step = min(step, 1.5 / math.sqrt(len(direction)), 0.7 * float(np.abs(direction).max()))
    return np.rint(direction / step).astype(np.int64)


def _orthonormal(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors made orthonormal again, in order, each with the sign that it had."""
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
