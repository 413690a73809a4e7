"""Choosing M and K for a size or a quality, by measuring on a sample of the rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.codes import code_dtype, reconstruct
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.refinement.refine import RefinementSettings, improve_codes, quantize
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

CODEWORDS = (16, 256)
MOST_CODEWORDS = 8_192  # in all, of the largest size that is measured
_FIT_ROWS, _ROWS_A_CODEWORD, _HELD_OUT_ROWS = 8_192, 4, 2_048
_SETTINGS = RefinementSettings(annealing_rounds=30, rounds=2)


@dataclass(frozen=True)
class Target:
    """A goal for a size or a quality; exactly one is given.

    Attributes:
        bytes_per_row: The most bytes of codes and codebook for each row, the vocabulary aside.
        distance: The largest mean Euclidean distance, in the units of the matrix.
        cosine: The smallest mean cosine between rows and their reconstructions.
    """

    bytes_per_row: float | None = None
    distance: float | None = None
    cosine: float | None = None

    def __post_init__(self) -> None:
        given = [self.bytes_per_row, self.distance, self.cosine]
        given = [value for value in given if value is not None]
        if len(given) != 1 or not (given[0] > 0 and math.isfinite(given[0])):
            raise InputError("wanted one target, a positive number: bytes, distance or cosine")
        if self.cosine is not None and self.cosine >= 1:
            raise InputError(f"the target cosine is {self.cosine}; wanted less than 1")

    def met(self, point: "Point") -> bool:
        """Tells whether a quality is good enough; a size is no quality."""
        if self.distance is not None:
            return point.distance <= self.distance
        return point.cosine >= self.cosine

    def __str__(self) -> str:
        if self.bytes_per_row is not None:
            return f"{self.bytes_per_row:g} bytes a row"
        if self.distance is not None:
            return f"a mean distance of {self.distance:g}"
        return f"a mean cosine of {self.cosine:g}"


@dataclass(frozen=True)
class Point:
    """A point of the rate-distortion curve.

    Attributes:
        num_codebooks: M.
        num_codewords: K.
        bytes_per_row: Bytes of codes and codebook for each row.
        distance: The mean Euclidean distance that was measured on the sample.
        cosine: The mean cosine that was measured on the sample.
    """

    num_codebooks: int
    num_codewords: int
    bytes_per_row: float
    distance: float
    cosine: float


def bytes_per_row(num_codebooks: int, num_codewords: int, shape: tuple[int, int]) -> float:
    """Returns the size of packed codes and a float32 codebook, divided by the rows.

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

    For a size that is the most codebooks that fit it, with 16 or 256 codewords each, whichever
    comes closer to the rows. For a quality it is the smallest size that reaches it, M being within
    a sixteenth of the smallest.

    Args:
        matrix: The embedding matrix.
        target: What is wanted.
        seed: Seed of everything random.
        machine: Where to compute; None: on the CPU, with all usable cores.

    Returns:
        The choice, and all that was measured, by size.

    Raises:
        InputError: Nothing is small enough, or good enough.
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
                f"no M and K reach {target}; the closest on a sample is "
                f"M={closest.num_codebooks}, K={closest.num_codewords}: distance "
                f"{closest.distance:.5g}, cosine {closest.cosine:.5g}"
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
    limit = MOST_CODEWORDS // num_codewords
    good = min((p.bytes_per_row for p in ruler.points if target.met(p)), default=None)
    if good is not None:  # what is larger than another's solution need not be measured
        limit = min(limit, ruler.most_codebooks(good, num_codewords))
    if limit == 0:
        return None
    low, high = 0, 1
    while not target.met(ruler.measure(high, num_codewords)):
        if high == limit:
            return None
        low, high = high, min(2 * high, limit)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        if target.met(ruler.measure(middle, num_codewords)):
            high = middle
        else:
            low = middle
    return ruler.measure(high, num_codewords)


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
        """All that was measured."""
        return list(self._measured.values())

    def most_codebooks(self, size: float, num_codewords: int) -> int:
        """Returns the largest M that is no larger than a size in bytes for each row; maybe 0."""
        most = MOST_CODEWORDS // num_codewords
        fitting = (
            m for m in range(most, 0, -1)
            if bytes_per_row(m, num_codewords, self.matrix.shape) <= size
        )  # fmt: skip
        return next(fitting, 0)

    def measure(self, num_codebooks: int, num_codewords: int) -> Point:
        """Returns a point of the curve."""
        size = num_codebooks, num_codewords
        if size not in self._measured:
            distance, cosine = self._quality(num_codebooks, num_codewords)
            self._measured[size] = Point(
                *size, bytes_per_row(*size, self.matrix.shape), distance, cosine
            )
            print(row_of(self._measured[size]))
        return self._measured[size]

    def _quality(self, num_codebooks: int, num_codewords: int) -> tuple[float, float]:
        """Returns mean distance and mean cosine.

        Rows that codebooks were made for are served too well when they are few, and others worse
        than they would be if all rows were there: the mean of both is what all rows will see.
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
