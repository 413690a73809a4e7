"""The interface of the engines that refinement computes with: the CPU, or a GPU through CuPy.

An engine's arrays are those of its own library (NumPy or CuPy); ``to_host`` converts them to
NumPy's. Neither engine imports what the other needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from nncompress.refinement.least_squares import LeastSquares
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization

Array = Any  # NumPy's or CuPy's


class Rows(Protocol):
    """The part of rows with codes and a codebook that engines use; see ``refinement.rows``."""

    matrix: EmbeddingMatrix
    weights: np.ndarray
    normalization: Normalization
    codes: np.ndarray
    codebook: np.ndarray
    is_normalized: bool

    @property
    def num_codewords(self) -> int:
        """K."""

    def normalized(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows of the matrix in normalized units, float32."""


@dataclass(frozen=True)
class Draw:
    """The random numbers that a pass draws.

    Attributes:
        seed: Seed of everything random.
        stream: The purpose of the numbers, one of ``random.noise.Stream``.
        position: Number of the draw within the stream.
        noise: Gumbel(0, 1) draws, float32; reading may begin anywhere before the last K numbers.
    """

    seed: int
    stream: int
    position: int
    noise: np.ndarray

    @property
    def key(self) -> tuple[int, int]:
        """The low and the high half of the seed."""
        return self.seed & 0xFFFFFFFF, self.seed >> 32 & 0xFFFFFFFF


class Pass(Protocol):
    """One pass over the rows, with one codebook, a block at a time."""

    def relax(
        self, x: Array, codes: Array, first_row: int, draw: Draw, temperatures: np.ndarray
    ) -> None:
        """Samples codes, with one sweep over the groups for each temperature.

        Args:
            x: A block, float32 ``(n, D)``.
            codes: Its codes, int32 ``(n, M)``, replaced.
            first_row: Number of the block's first row, for the random numbers.
            draw: The random numbers.
            temperatures: float32, in units of squared distance.
        """

    def improve(
        self,
        x: Array,
        codes: Array,
        first_row: int,
        draw: Draw,
        temperature: float,
        trials: int,
        sweeps: int,
    ) -> None:
        """Improves codes by ICM, starting from the codes as they are and from samples of them.

        Args:
            x: A block, float32 ``(n, D)``.
            codes: Its codes, int32 ``(n, M)``, improved in place.
            first_row: Number of the block's first row, for the random numbers.
            draw: The random numbers.
            temperature: Temperature of the samples, in units of squared distance.
            trials: Number of samples to try.
            sweeps: Largest number of sweeps of ICM after each sample.
        """

    def find(
        self,
        x: Array,
        codes: Array,
        first_row: int,
        draw: Draw,
        order: np.ndarray,
        temperature: float,
        trials: int,
        sweeps: int,
    ) -> None:
        """Finds codes greedily, one group after the other, and improves them.

        Args:
            x: A block, float32 ``(n, D)``.
            codes: int32 ``(n, M)``, all of them 0; replaced.
            first_row: Number of the block's first row, for the random numbers.
            draw: The random numbers.
            order: ``(M,)``, the groups in the order in which they are decided.
            temperature: Temperature of the samples, in units of squared distance.
            trials: Number of samples to try.
            sweeps: Largest number of sweeps of ICM after each sample.
        """

    def search(self, x: Array, codes: Array, order: np.ndarray, width: int) -> None:
        """Replaces codes where beam search finds better ones.

        Args:
            x: A block, float32 ``(n, D)``.
            codes: Its codes, int32 ``(n, M)``, improved in place.
            order: ``(M,)``, the groups in the order in which they are decided.
            width: Number of paths that are kept, at least 1.
        """

    def tally(self, x: Array, codes: Array, weights: np.ndarray) -> None:
        """Adds a block to the normal equations.

        Args:
            x: A block, float32 ``(n, D)``.
            codes: Its codes, int32 ``(n, M)``.
            weights: The weights of its rows, float64 ``(n,)``.
        """

    def sums(self) -> dict[str, np.ndarray]:
        """Returns the sums over the blocks so far, by name, in the form that ``add`` takes."""

    def add(self, sums: dict[str, np.ndarray]) -> None:
        """Adds the sums of earlier blocks, to a pass that has had no blocks yet."""

    def equations(self) -> LeastSquares:
        """Returns the normal equations of the blocks so far, except ``squares`` and ``weight``."""


class Engine(Protocol):
    """The computing behind refinement, on a CPU or a GPU, with its own arrays.

    Attributes:
        xp: The library of its arrays.
    """

    xp: ModuleType

    def blocks(self, rows: Rows) -> Iterator[tuple[slice, Array]]:
        """Yields the normalized rows in order.

        Yields:
            The row numbers as a slice, and the rows, float32 ``(n, D)``.
        """

    def take(self, rows: Rows, numbers: np.ndarray) -> Array:
        """Returns a copy of some of the normalized rows, float32 ``(n, D)``."""

    def begin(self, rows: Rows) -> Pass:
        """Begins a pass with the rows' current codebook."""

    def upload(self, codes: np.ndarray) -> Array:
        """Returns a copy of codes in the form that a pass takes, int32 ``(n, M)``."""

    def to_host(self, array: Array) -> np.ndarray:
        """Returns an array as a NumPy array."""

    def residuals(self, x: Array, codes: np.ndarray, codebook: np.ndarray) -> Array:
        """Returns what is left of normalized rows when their reconstructions are subtracted.

        Args:
            x: Normalized rows, float32 ``(n, D)``.
            codes: Their codes, ``(n, M)``.
            codebook: ``(L, D)``.

        Returns:
            float32 ``(n, D)``.
        """

    def squares(self, x: Array, weights: np.ndarray) -> float:
        """Returns the weighted sum of the rows' squared lengths."""

    def means(self, x: Array, weights: np.ndarray, numbers: Array, size: int) -> Array:
        """Returns the weighted means of groups of rows.

        Args:
            x: float32 ``(n, D)``.
            weights: float64 ``(n,)``.
            numbers: The group of each row, integers in ``0 ... size-1``, ``(n,)``.
            size: The number of groups.

        Returns:
            float32 ``(size, D)``; 0 for a group without rows.
        """
