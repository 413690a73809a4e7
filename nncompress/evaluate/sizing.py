"""Choosing M and K for a size or a quality, by measuring on a sample of the rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.codes import code_dtype, reconstruct
from nncompress.errors import InputError
from nncompress.evaluate.curve import badness
from nncompress.evaluate.step_search import StepSearch
from nncompress.evaluate.target import Target
from nncompress.machine import Machine
from nncompress.progress import say
from nncompress.refinement.refine import RefinementSettings, improve_codes, quantize
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

CODEWORDS = (16, 256)
# Limits that keep a measurement to seconds: on codewords, and on rows in total and per codeword.
_MOST_MEASURED, _FIT_ROWS, _ROWS_A_CODEWORD, _HELD_OUT_ROWS = 2_048, 4_096, 2, 1_024
_SETTINGS = RefinementSettings(annealing_rounds=10, rounds=1, trials=8)
# The number of sizes measured for a quality, with the first K and the second, and the tolerance.
_SIZES, _OTHER_SIZES, _NEAR = 4, 3, 0.02
# The first number of bits to try, and the approximate slope of log distance over log M.
_FIRST_BITS, _SLOPE = 64, 0.7


@dataclass(frozen=True)
class Point:
    """A point of the rate-distortion curve.

    Attributes:
        num_codebooks: M.
        num_codewords: K.
        bytes_per_row: Bytes of codes and codebook per row.
        distance: The mean Euclidean distance measured on the sample.
        cosine: The mean cosine measured on the sample.
    """

    num_codebooks: int
    num_codewords: int
    bytes_per_row: float
    distance: float
    cosine: float


def bytes_per_row(num_codebooks: int, num_codewords: int, shape: tuple[int, int]) -> float:
    """Returns the bytes of packed codes and a float32 codebook per row.

    Args:
        num_codebooks: M.
        num_codewords: K.
        shape: ``(N, D)``.
    """
    num_rows, dim = shape
    codes = math.ceil(num_codebooks * math.ceil(math.log2(num_codewords)) / 8)
    return codes + 4 * num_codebooks * num_codewords * dim / num_rows


def choose_size(
    matrix: EmbeddingMatrix,
    target: Target,
    *,
    seed: int = 0,
    machine: Machine | None = None,
) -> tuple[Point, list[Point]]:
    """Finds the best M and K for a target.

    For a size, these are the most codebooks that fit, with 16 or 256 codewords each, whichever
    comes closer to the rows. For a quality, they give about the smallest size that reaches it.

    Args:
        matrix: The embedding matrix.
        target: The target.
        seed: Seed of everything random.
        machine: The machine to compute on; None for the CPU with all usable cores.

    Returns:
        The choice, and all points measured, by size.

    Raises:
        InputError: No choice is small enough, or good enough.
    """
    ruler = _Ruler(matrix, seed=seed, machine=machine or Machine())
    if target.bytes_per_row is not None:
        points = list(_of_size(ruler, target.bytes_per_row))
        best = min(points, key=lambda point: point.distance)
    else:
        found = [point for k in CODEWORDS if (point := _smallest(ruler, target, k)) is not None]
        if not found:
            closest = min(ruler.points, key=lambda point: point.distance)
            raise InputError(
                f"no M and K with at most {_MOST_MEASURED:,} codewords reach {target}; on a "
                f"sample, the closest is M={closest.num_codebooks}, K={closest.num_codewords}: "
                "distance "
                f"{closest.distance:.5g}, cosine {closest.cosine:.5g}; give -M and -K, or use "
                "nncompress compress for this target"
            )
        best = min(found, key=lambda point: point.bytes_per_row)
    return best, sorted(ruler.points, key=lambda point: point.bytes_per_row)


def _of_size(ruler: "_Ruler", size: float) -> Iterator[Point]:
    """Measures the most codebooks that fit, and half as many for the curve."""
    fitting = {k: ruler.most_codebooks(size, k) for k in CODEWORDS}
    if not any(fitting.values()):
        least = min(bytes_per_row(1, k, ruler.matrix.shape) for k in CODEWORDS)
        raise InputError(
            f"the target is {size:g} bytes a row; the smallest possible is {least:.4g} for "
            f"{len(ruler.matrix)} rows of {ruler.matrix.dim} columns"
        )
    for num_codewords, most in fitting.items():
        for num_codebooks in sorted({max(1, most // 2), most} if most else ()):
            yield ruler.measure(num_codebooks, num_codewords)


def _smallest(ruler: "_Ruler", target: Target, num_codewords: int) -> Point | None:
    """Finds about the fewest codebooks that reach a quality; None if no number does."""
    limit, most = _MOST_MEASURED // num_codewords, _SIZES
    bits = math.log2(num_codewords)
    guess = _FIRST_BITS / bits
    found = [point for point in ruler.points if target.met(point)]
    if ruler.points:  # with the other K
        most = _OTHER_SIZES
        near = min(found or ruler.points, key=lambda point: abs(_badness(target, point)))
        guess = near.num_codebooks * math.log2(near.num_codewords) / bits
    if found:  # sizes larger than the other K's solution need not be measured
        smallest = min(point.bytes_per_row for point in found)
        limit = min(limit, ruler.most_codebooks(smallest, num_codewords))
    if limit == 0:
        return None
    # Fewer codebooks give a larger distance.
    search = StepSearch(0.0, -math.log(limit), 0.0, -math.log(guess), _SLOPE, most, _NEAR)
    points: dict[int, Point] = {}
    while not search.is_over:
        num_codebooks = min(limit, max(1, round(math.exp(-search.next()))))
        if num_codebooks in points:
            num_codebooks += -1 if target.met(points[num_codebooks]) else 1
            if num_codebooks in points or not 1 <= num_codebooks <= limit:
                break
        points[num_codebooks] = ruler.measure(num_codebooks, num_codewords)
        search.note(-math.log(num_codebooks), _badness(target, points[num_codebooks]))
    good = [point for point in points.values() if target.met(point)]
    return min(good, key=lambda point: point.bytes_per_row, default=None)


def _badness(target: Target, point: Point) -> float:
    """Returns the logarithm of how much worse a point is than the target."""
    return badness(target, getattr(point, target.name)) - badness(target, target.value)


class _Ruler:
    """Measures how close M codebooks of K codewords come to a sample of the rows.

    Args:
        matrix: The embedding matrix.
        computing: Seed, threads and GPU, as for ``quantize``.
    """

    def __init__(self, matrix: EmbeddingMatrix, **computing: int) -> None:
        self.matrix = matrix
        self._options = {**computing, "settings": _SETTINGS}
        self._measured: dict[tuple[int, int], Point] = {}

    @property
    def points(self) -> list[Point]:
        """All points measured."""
        return list(self._measured.values())

    def most_codebooks(self, size: float, num_codewords: int) -> int:
        """Returns the largest M whose size is at most a number of bytes per row; may be 0."""
        most = _MOST_MEASURED // num_codewords
        fitting = (
            m for m in range(most, 0, -1)
            if bytes_per_row(m, num_codewords, self.matrix.shape) <= size
        )  # fmt: skip
        return next(fitting, 0)

    def measure(self, num_codebooks: int, num_codewords: int) -> Point:
        """Measures a point of the curve."""
        size = num_codebooks, num_codewords
        if size not in self._measured:
            distance, cosine = self._quality(num_codebooks, num_codewords)
            self._measured[size] = Point(
                *size, bytes_per_row(*size, self.matrix.shape), distance, cosine
            )
            say(row_of(self._measured[size]))
        return self._measured[size]

    def _quality(self, num_codebooks: int, num_codewords: int) -> tuple[float, float]:
        """Returns the mean distance and the mean cosine.

        With a small sample, the rows that codebooks are fitted to come out better, and other rows
        worse, than they would with all rows: the mean of both estimates the result for all rows.
        """
        num_rows = len(self.matrix)
        fitted = max(_FIT_ROWS, _ROWS_A_CODEWORD * num_codebooks * num_codewords)
        rows = spaced_rows(fitted + _HELD_OUT_ROWS, num_rows)
        held_out = np.zeros(len(rows), dtype=bool)
        if num_rows >= len(rows) == fitted + _HELD_OUT_ROWS:
            held_out[spaced_rows(_HELD_OUT_ROWS, len(rows))] = True
        sample, others = (
            EmbeddingMatrix(self.matrix.take(rows[chosen]), self.matrix.name)
            if chosen.any() else None
            for chosen in (~held_out, held_out)
        )  # fmt: skip
        refined = quantize(sample, num_codebooks, num_codewords, **self._options)
        seen = _closeness(sample, refined.codes, refined.codebook)
        if others is None:
            return seen
        codes = np.zeros((len(others), num_codebooks), code_dtype(num_codewords))
        codes = improve_codes(others, codes, refined.codebook, **self._options)
        unseen = _closeness(others, codes, refined.codebook)
        return (seen[0] + unseen[0]) / 2, (seen[1] + unseen[1]) / 2


def _closeness(
    matrix: EmbeddingMatrix, codes: np.ndarray, codebook: np.ndarray
) -> tuple[float, float]:
    rows = matrix.take(np.arange(len(matrix))).astype(np.float64)
    decoded = reconstruct(codes, codebook).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(decoded, axis=1)
    cosines = np.einsum("nd,nd->n", rows, decoded) / np.where(lengths > 0, lengths, 1)
    return float(np.linalg.norm(rows - decoded, axis=1).mean()), float(cosines.mean())


HEADING = f"{'M':>4} {'K':>4} {'bytes a row':>12} {'distance':>10} {'cosine':>8}"


def row_of(point: Point) -> str:
    """Returns a point as a line under ``HEADING``."""
    return (
        f"{point.num_codebooks:>4} {point.num_codewords:>4} {point.bytes_per_row:>12.2f} "
        f"{point.distance:>10.5g} {point.cosine:>8.5f}"
    )
