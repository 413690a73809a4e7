"""The grid of scales, and the cost of levels by scale.

The spread of the coordinates along an axis, in steps, is described by one of some dozens of scales
on a logarithmic grid. Each scale has a table of probabilities, which starts as that of a Gaussian
and is fitted to counts.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from nncompress.embedding.residual_kernels import POINTS, SYMBOLS

RATIO = 1.2
# The first scale of the grid, and the most scales that there can be: up to 1,300 steps.
_FIRST = 0.12
MOST_SCALES = 52
# From this scale on, a symbol stands for two magnitudes; from twice the scale on, for four; etc.
_DOUBLED = 5.0
_TOTAL = 4096
# The number of observations that a table's initial probabilities, and its values, count as.
_PRIOR_COUNT, _PRIOR_VALUES = 8.0, 20.0
_SIZES = 4_096


def scale_of(sizes: np.ndarray) -> np.ndarray:
    """Returns the numbers of the scales nearest to root mean squares (in steps), int64."""
    with np.errstate(divide="ignore"):
        places = np.log(np.asarray(sizes, dtype=np.float64) / _FIRST) / math.log(RATIO)
    return np.rint(np.clip(places, -1e4, 1e4)).astype(np.int64)


@dataclass(frozen=True)
class Scales:
    """Tables for all scales of the grid.

    Attributes:
        points: The values of levels 0 to 3, float32 ``(scales, 2, 4)``.
        frequencies: The frequencies of symbols, in 4096ths, uint16 ``(scales, 2, 16)``.
        shifts: int64 ``(scales,)``.
    """

    points: np.ndarray
    frequencies: np.ndarray
    shifts: np.ndarray

    @classmethod
    def gaussian(cls) -> "Scales":
        """Returns the tables that Gaussian coordinates would have."""
        sizes = _FIRST * RATIO ** np.arange(MOST_SCALES)
        shifts = np.maximum(0, np.floor(np.log2(sizes / _DOUBLED)) + 1).astype(np.int64)
        probabilities = np.zeros((MOST_SCALES, 2, SYMBOLS))
        for m, (size, shift) in enumerate(zip(sizes, shifts, strict=True)):
            for c in range(2):
                # A magnitude is used where its value is nearest; in a quantizer they are 2 apart.
                ends = 2.0 * (np.arange(SYMBOLS - 1) + 1 << shift) - 1.0 - c
                inside = np.array([math.erf(max(end, 0.4) / size / math.sqrt(2)) for end in ends])
                probabilities[m, c] = np.diff(np.concatenate([[0.0], inside, [1.0]]))
        return cls(_plain_points(), _in_slots(probabilities), shifts)

    @property
    def bits(self) -> np.ndarray:
        """The number of bits of each symbol, float32 ``(scales, 2, 16)``."""
        return (-np.log2(self.frequencies / _TOTAL)).astype(np.float32)

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the points, bits and shifts, as the kernels take them."""
        return self.points, self.bits, self.shifts

    def fitted(self, counts: np.ndarray, sums: np.ndarray, numbers: np.ndarray) -> "Scales":
        """Returns tables fitted to counts; see ``cpu.level_counts``."""
        prior = self.frequencies / _TOTAL
        frequencies = _in_slots(counts + _PRIOR_COUNT * prior)
        plain = _plain_points()
        points = (sums + _PRIOR_VALUES * plain) / (numbers + _PRIOR_VALUES)
        points[:, :, 0] = 0.0
        # Stored in half precision, so the encoder rounds the values as decoders see them.
        points = points.astype(np.float16).astype(np.float32)
        return replace(self, frequencies=frequencies, points=points)

    def cost_of_sizes(self, lam: float, largest: float) -> np.ndarray:
        """Returns the lowest cost of each size, averaged over both quantizers, float32.

        Args:
            lam: The cost of a bit in squared steps.
            largest: The largest size that occurs, in steps.

        Returns:
            ``(scales, sizes)``; sizes are the midpoints of quarter steps, up to the largest size
            but at most 1,024 steps.
        """
        sizes = (np.arange(int(min(_SIZES, 4 * largest + 1))) + 0.5) / 4
        costs = np.zeros((len(self.points), len(sizes)))
        bits = self.bits.astype(np.float64)
        for c in range(2):
            nearest = np.rint((sizes + c) / 2).astype(np.int64)
            best = np.full_like(costs, np.inf)
            for k in (np.zeros_like(nearest), np.maximum(nearest - 1, 0), nearest):
                value = np.where(
                    k < POINTS, self.points[:, c][:, np.minimum(k, POINTS - 1)], 2.0 * k - c
                )
                symbol = np.minimum(k >> self.shifts[:, None], SYMBOLS - 1)
                beyond = (k >> self.shifts[:, None]) - SYMBOLS + 2
                extra = np.where(beyond > 0, 4 + np.log2(np.maximum(beyond, 1)), 0.0)
                spent = np.take_along_axis(bits[:, c], symbol, axis=1) + extra
                spent = spent + self.shifts[:, None] + (k > 0)
                best = np.minimum(best, (sizes - value) ** 2 + lam * spent)
            costs += best / 2
        return costs.astype(np.float32)


def _plain_points() -> np.ndarray:
    magnitudes = np.arange(POINTS)
    both = np.stack([2.0 * magnitudes, np.maximum(2.0 * magnitudes - 1, 0)])
    return np.broadcast_to(both, (MOST_SCALES, 2, POINTS)).astype(np.float32).copy()


def in_slots(weights: np.ndarray) -> np.ndarray:
    """Returns frequencies for weights ``(R,)``, each at least 1, that add up to 4096, uint16."""
    return _in_slots(weights[None])[0]


def _in_slots(weights: np.ndarray) -> np.ndarray:
    shape = weights.shape
    flat = weights.reshape(-1, shape[-1])
    shares = flat / flat.sum(axis=1, keepdims=True) * (_TOTAL - shape[-1])
    whole = np.floor(shares).astype(np.int64)
    left = _TOTAL - shape[-1] - whole.sum(axis=1)
    # The largest remainders get the rest; of equal ones, the first.
    order = np.argsort(-(shares - whole), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(shape[-1])[None].repeat(len(flat), 0), axis=1)
    whole += rank < left[:, None]
    return (whole + 1).astype(np.uint16).reshape(shape)
