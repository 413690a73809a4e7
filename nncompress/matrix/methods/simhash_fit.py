"""Fitting the signs of random projections, and scales, to a matrix."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from nncompress.cpu import projected_signs
from nncompress.cpu.arena import on_a_line
from nncompress.cpu.panels import PANEL_BYTES
from nncompress.cpu.projected_signs import BLOCK
from nncompress.cpu.target import VECTOR_BYTES
from nncompress.machine import Team, free_memory
from nncompress.refinement.blas import one_blas_thread

Blocks = Callable[[], Iterator[tuple[slice, np.ndarray]]]

# The share by which the first of several rounds pulls numbers towards 1 and -1. With 0 and 0.4,
# errors are within 3% of these: less is better with few projections, more with many.
_FIRST_SHARE = 0.2
_BATCH_NUMBERS = 1 << 26  # signs that are in memory as floats at a time
_BATCH_STEP = 64  # columns: whole tiles of any width
_PART_OF_MEMORY = 4  # projections are kept for all rounds if they take 1/4 of free memory or less


@one_blas_thread
def fit(
    a: np.ndarray, blocks: Blocks, count: int, n_iterations: int, team: Team
) -> tuple[np.ndarray, np.ndarray]:
    """Finds signs S and scales D such that R S D is close to A, for random projections R.

    The signs start as those of R'A. Each round goes through all of them, choosing each by the
    current residual (``cpu.projected_signs``), and ends by fitting the scales by least squares.

    Args:
        a: A ``(m, n)``, float32 or float64, finite.
        blocks: A function that yields R ``(m, k)`` in blocks: column numbers, and the columns.
        count: k.
        n_iterations: The number of rounds. With 0, scales give each column the norm it has in A.
        team: The threads to compute with. No result depends on their number.

    Returns:
        The signs, bool ``(k, n)``, True for +1, and the scales ``(n,)``.
    """
    # Scaled by powers of 2, which change no digit, to keep squares in range.
    exponents = np.frexp(np.abs(a).max(axis=0))[1]
    projections = _Projections(blocks, count, a)
    if n_iterations > 0:
        projections.keep()
    signs, scales = np.empty((count, a.shape[1]), dtype=bool), np.empty(a.shape[1], a.dtype)
    width = max(_BATCH_STEP, _BATCH_NUMBERS // count // _BATCH_STEP * _BATCH_STEP)
    for first in range(0, a.shape[1], width):
        columns = slice(first, first + width)
        batch = _Batch(np.ldexp(a[:, columns], -exponents[columns]), count, team)
        batch.begin(projections)
        if n_iterations == 0:
            batch.keep_lengths()
        else:
            batch.rescale()
        for share in _shares(n_iterations):
            batch.improve(projections, share)
        signs[:, columns], found = batch.result()
        scales[columns] = np.ldexp(found, exponents[columns])
    return signs, scales


def _shares(n_iterations: int) -> np.ndarray:
    """Returns the share by which each round pulls numbers to signs, rising linearly to 1."""
    return np.linspace(1, _FIRST_SHARE, n_iterations)[::-1]


class _Projections:
    """The columns of R as rows, a few at a time, with their inner products in blocks."""

    def __init__(self, blocks: Blocks, count: int, a: np.ndarray) -> None:
        self._blocks, self._count, self._none = blocks, count, np.empty((0, len(a)), a.dtype)
        self._bytes = count * (len(a) + BLOCK) * a.itemsize
        self._kept: list[_Rows] | None = None

    def keep(self) -> None:
        """Keeps all projections if there is memory; otherwise they are redrawn each time."""
        free = free_memory()
        if free is None or self._bytes <= free // _PART_OF_MEMORY:
            self._kept = list(self._drawn())

    def __iter__(self) -> Iterator["_Rows"]:
        return self._drawn() if self._kept is None else iter(self._kept)

    def _drawn(self) -> Iterator["_Rows"]:
        waiting, start = self._none, 0
        for numbers, columns in self._blocks():
            waiting = np.concatenate([waiting, columns.T.astype(waiting.dtype)])
            ready = len(waiting)
            if numbers.stop < self._count:  # only whole blocks while more columns follow
                ready = ready // BLOCK * BLOCK
            if ready > 0:
                yield _Rows(slice(start, start + ready), waiting[:ready], _grams(waiting[:ready]))
                waiting, start = waiting[ready:], start + ready


def _grams(rows: np.ndarray) -> np.ndarray:
    """Returns the inner products of blocks of rows, ``(blocks, BLOCK, BLOCK)``."""
    grams = np.empty((-(-len(rows) // BLOCK), BLOCK, BLOCK), rows.dtype)
    for gram, first in zip(grams, range(0, len(rows), BLOCK), strict=True):
        some = rows[first : first + BLOCK]
        gram[: len(some), : len(some)] = some @ some.T
    return grams


class _Rows(NamedTuple):
    """Some columns of R: their numbers, the columns as rows, and their products in blocks."""

    numbers: slice
    rows: np.ndarray
    grams: np.ndarray


class _Batch:
    """Columns of A in tiles for ``cpu.projected_signs``, with their signs and scales."""

    def __init__(self, a: np.ndarray, count: int, team: Team) -> None:
        self._team, self._shape = team, a.shape
        # As wide as a panel, or narrower if there would be too few tiles for all threads.
        lanes, panel = VECTOR_BYTES // a.itemsize, PANEL_BYTES // a.itemsize
        each = -(-a.shape[1] // team.threads)
        self._width = min(panel, -(-each // lanes) * lanes)
        tiles = -(-a.shape[1] // self._width)
        self._vectors = on_a_line((tiles, len(a), panel), a.dtype)
        self._vectors[...] = 0
        for tile, target in enumerate(self._vectors):
            part = a[:, tile * self._width : (tile + 1) * self._width]
            target[:, : part.shape[1]] = part
        self._left = on_a_line(self._vectors.shape, a.dtype)
        self._left[...] = self._vectors
        self._x = np.empty((tiles, count, panel), a.dtype)
        self._scales = np.ones((tiles, panel), a.dtype)
        self._scratch = on_a_line((team.threads, 2, BLOCK, panel), a.dtype)

    def begin(self, projections: Iterable[_Rows]) -> None:
        """Sets the signs to those of R'A, with scales of 1."""
        for numbers, rows, _ in projections:
            x = self._x[:, numbers]
            self._run(projected_signs.begin, rows, self._vectors, self._left, x, self._scratch)

    def improve(self, projections: Iterable[_Rows], share: float) -> None:
        """Makes one pass over all signs."""
        for numbers, rows, grams in projections:
            self._run(
                projected_signs.improve, rows, grams, share, self._scales, self._left,
                self._x[:, numbers], self._scratch,
            )  # fmt: skip
        self.rescale()

    def rescale(self) -> None:
        """Sets the scales by least squares."""
        self._run(projected_signs.rescale, self._vectors, self._left, self._scales)

    def keep_lengths(self) -> None:
        """Sets the scales so that columns keep their norms; used when signs are not improved."""
        lengths, found = (
            np.sqrt(np.square(columns, dtype=np.float64).sum(axis=1))
            for columns in (self._vectors, self._vectors - self._left)
        )
        self._scales[...] = lengths / np.where(found > 0, found, 1)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the signs, bool ``(k, n)``, True for +1, and the scales ``(n,)``."""
        num_columns = self._shape[1]
        signs = (self._x[:, :, : self._width] > 0).transpose(1, 0, 2)
        scales = self._scales[:, : self._width].reshape(-1)
        return signs.reshape(len(signs), -1)[:, :num_columns], scales[:num_columns]

    def _run(self, kernel: Callable[..., None], *arguments: object) -> None:
        self._team.run(kernel, self._team.threads, *arguments, self._width)
