"""Methods that round numbers one by one, for `rates.py`.

A method is a function of the shape ``(N, D)`` and a budget in bytes per row; it returns its
largest configuration within the budget, or none.
"""

import math
from collections.abc import Callable

import numpy as np

from benchmarks.rate_configurations import Configuration, Fitted

FLOAT16 = 2  # bytes
GROUP = 32
_SHARES_OF_LARGEST = np.linspace(0.2, 1.0, 33)
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


def _most_bits(
    budget: float, size: Callable[[int], float], choices: range
) -> list[tuple[int, float]]:
    """Returns the most bits per number that fit in the budget, with the size, if any do."""
    return [(bits, size(bits)) for bits in choices if size(bits) <= budget][-1:]


def integer_rows(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns integers of 2 to 8 bits with one float16 scale per row."""
    return _integers(shape, budget, shape[1])


def integer_groups(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns integers of 2 to 8 bits with one float16 scale per 32 numbers of a row."""
    return _integers(shape, budget, GROUP)


def _integers(shape: tuple[int, int], budget: float, group: int) -> list[Configuration]:
    dim = shape[1]

    def size(bits: int) -> float:
        return math.ceil(dim * bits / 8) + FLOAT16 * math.ceil(dim / group)

    return [
        Configuration(f"int{bits}", used, round_numbers, {"bits": bits, "group": group})
        for bits, used in _most_bits(budget, size, range(2, 9))
    ]


def round_numbers(x: np.ndarray, *, bits: int, group: int) -> Fitted:
    """Rounds groups of a row's numbers to ``-(2**(bits-1) - 1) ... 2**(bits-1) - 1``.

    The scale of a group is the one with the smallest squared error, among several that clip the
    largest numbers.
    """
    decoded = np.empty_like(x)
    top = 2 ** (bits - 1) - 1
    for first in range(0, x.shape[1], group):
        part = x[:, first : first + group]
        largest = np.abs(part).max(axis=1, keepdims=True)
        best = np.full((len(x), 1), np.inf)
        chosen = np.zeros_like(part)
        for share in _SHARES_OF_LARGEST:
            wanted = np.minimum(share * largest / top, _LARGEST_FLOAT16)
            scale = wanted.astype(np.float16).astype(np.float32)
            levels = np.clip(np.rint(part / np.where(scale > 0, scale, 1)), -top, top)
            rounded = levels * scale
            error = ((part - rounded) ** 2).sum(axis=1, keepdims=True)
            better = error < best
            chosen = np.where(better, rounded, chosen)
            best = np.where(better, error, best)
        decoded[:, first : first + group] = chosen
    return Fitted(decoded)


def rotated(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns a random rotation with the Lloyd-Max levels of a Gaussian, 1 to 8 bits.

    This is the form of TurboQuant (Zandieh et al., 2025). The rotation is drawn from a seed and
    the levels are those of the normal distribution, so neither takes bytes; each row stores its
    norm.
    """
    dim = shape[1]

    def size(bits: int) -> float:
        return math.ceil(dim * bits / 8) + FLOAT16

    return [
        Configuration(f"{bits} bits", used, rotate_and_round, {"bits": bits})
        for bits, used in _most_bits(budget, size, range(1, 9))
    ]


def rotate_and_round(x: np.ndarray, *, bits: int) -> Fitted:
    """Rounds the numbers of rotated rows of norm 1 to the levels of a Gaussian."""
    dim = x.shape[1]
    drawn = np.random.default_rng(0).normal(size=(dim, dim))
    rotation, triangle = np.linalg.qr(drawn)
    rotation = (rotation * np.sign(np.diag(triangle))).astype(np.float32)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    units = (x / np.where(norms > 0, norms, 1)) @ rotation * np.float32(math.sqrt(dim))
    levels = lloyd_max_levels(bits).astype(np.float32)
    places = np.searchsorted((levels[1:] + levels[:-1]) / 2, units)
    kept = norms.astype(np.float16).astype(np.float32) / np.float32(math.sqrt(dim))
    return Fitted(kept * (levels[places] @ rotation.T))


def lloyd_max_levels(bits: int) -> np.ndarray:
    """Returns the ``2**bits`` levels with the least squared error for the normal distribution."""
    from scipy.special import ndtr, ndtri

    # A good start: the density of levels that is optimal in the limit of many levels.
    levels = math.sqrt(3) * ndtri((np.arange(2**bits) + 0.5) / 2**bits)
    moved = 1.0
    while moved > 1e-6:
        edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        density = np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi)
        means = -np.diff(density) / np.diff(ndtr(edges))
        levels, moved = means, np.abs(means - levels).max()
    return levels


def principal_components(shape: tuple[int, int], budget: float) -> list[Configuration]:
    """Returns the most principal components that fit, with 8 bits per coefficient.

    The basis, the mean and one scale per component are float16.
    """
    num_rows, dim = shape
    each = 1 + FLOAT16 * (dim + 1) / num_rows
    shared = FLOAT16 * dim / num_rows
    most = min(dim, math.floor((budget - shared) / each))
    if most < 1:
        return []
    return [
        Configuration(f"{most} components", most * each + shared, project, {"components": most})
    ]


def project(x: np.ndarray, *, components: int) -> Fitted:
    """Rounds the coefficients of principal components to 8 bits."""
    mean = x.mean(axis=0).astype(np.float16).astype(np.float32)
    centred = x - mean
    _, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    basis = vectors[:, : -components - 1 : -1].astype(np.float32)
    coefficients = centred @ basis
    scale = (np.abs(coefficients).max(axis=0) / 127).astype(np.float16).astype(np.float32)
    levels = np.clip(np.rint(coefficients / np.where(scale > 0, scale, 1)), -127, 127)
    stored = basis.astype(np.float16).astype(np.float32)
    return Fitted((levels * scale) @ stored.T + mean)
