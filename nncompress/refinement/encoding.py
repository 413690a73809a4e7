"""Codes of rows for a fixed codebook, found with an effort from quick to thorough.

A row's codes depend only on the row, its number in the whole table, the codebook, the effort and
the seed, not on other rows or on the block that it comes in. So a table can be encoded in blocks
of any size, in any order and on any number of machines.

Sources: Babenko and Lempitsky, "Additive Quantization for Extreme Vector Compression", CVPR 2014,
section 3 (beam search); Martinez et al., "LSQ++: Lower Running Time and Higher Recall in
Multi-codebook Quantization", ECCV 2018 (perturbed ICM).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from nncompress.embedding.codes import code_dtype
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.random.noise import Stream
from nncompress.refinement.blas import one_blas_thread
from nncompress.refinement.engines import make_engine
from nncompress.refinement.engines.interface import Array, Draw, Pass
from nncompress.refinement.least_squares import LeastSquares
from nncompress.refinement.rows import deciding_order, gumbel_table, temperature_of
from nncompress.sources.normalization import Normalization

# The temperature of samples, in units of ``temperature_of``, and the most sweeps of ICM after it.
_TEMPERATURE, _SWEEPS = 2.3, 16
# From about this many bits per dimension, residual codebooks are the better start, and beam search
# is the way through them.
MANY_BITS = 1.0
# Rows to encode at a time.
_BLOCK_ROWS = 8_192
# The largest exponent of 2 of codewords whose squares are computed in the rows' units.
_MOST_EXPONENT = 40
# A row number is one word of the random numbers' counter: rows this far apart draw the same ones.
_ROW_NUMBERS = 1 << 32


@dataclass(frozen=True)
class Effort:
    """The effort put into finding a row's codes.

    Attributes:
        trials: Samples of a row's codes to try, each followed by ICM.
        width: Width of the beam search that finds the first codes; 1 is a greedy choice.
        width_of_many_bits: The same for codes of at least one bit per dimension, where samples
            gain little and wider beams much.
    """

    trials: int
    width: int
    width_of_many_bits: int


EFFORTS: Mapping[str, Effort] = MappingProxyType({
    "quick": Effort(trials=5, width=1, width_of_many_bits=16),
    "default": Effort(trials=32, width=1, width_of_many_bits=64),
    "thorough": Effort(trials=192, width=128, width_of_many_bits=128),
})  # fmt: skip


@dataclass(frozen=True)
class BlockSums:
    """The contribution of rows and their codes to the least-squares codebook.

    Contributions of blocks are added with ``+``. Floating-point additions round, so results are
    only identical if they are added in the same order.

    Attributes:
        counts: float64 ``(L, L)``: the number of rows that use two codewords together, on and
            below the diagonal.
        sums: float64 ``(L, D)``: for each codeword, the sum of the rows that use it, in normalized
            units.
        used: True for each codeword that any row uses, bool ``(L,)``.
        squares: The sum of the rows' squared lengths, in normalized units.
        weight: The number of rows.
    """

    counts: np.ndarray
    sums: np.ndarray
    used: np.ndarray
    squares: float
    weight: float

    def __add__(self, other: "BlockSums") -> "BlockSums":
        return BlockSums(
            self.counts + other.counts,
            self.sums + other.sums,
            self.used | other.used,
            self.squares + other.squares,
            self.weight + other.weight,
        )


@dataclass
class _Codebook:
    """A codebook for some number of rows, as engines take it; see ``engines.interface.Rows``."""

    codebook: np.ndarray
    codes: np.ndarray
    weights: np.ndarray
    num_codewords: int


class RowEncoder:
    """Encodes rows for one codebook.

    Args:
        codebook: float32 ``(M*K, D)``, in the units of the rows.
        num_codebooks: M.
        normalization: The map from the rows' units to normalized units that was used to find the
            codebook.
        loss: Half the mean squared distance, in the units of the rows, between the rows that the
            codebook was found for and their reconstructions. Temperatures are multiples of it.
        effort: The name of one of ``EFFORTS``, or an effort of your own.
        seed: Seed of everything random.
        machine: The machine to compute on; None: the CPU, with all usable cores.

    Raises:
        InputError: There is no such effort, or codebook and M do not match.
    """

    def __init__(
        self,
        codebook: np.ndarray,
        num_codebooks: int,
        normalization: Normalization,
        loss: float,
        effort: Effort | str = "default",
        seed: int = 0,
        machine: Machine | None = None,
    ) -> None:
        effort = _effort_of(effort)
        if num_codebooks < 1 or len(codebook) % num_codebooks:
            raise InputError(
                f"{len(codebook)} codewords cannot form {num_codebooks} groups; wanted "
                "groups of equal size"
            )
        if not (math.isfinite(loss) and loss >= 0):
            raise InputError(f"the loss of the codebook is {loss}; wanted a finite number")
        self._engine = make_engine(machine or Machine())
        self._num_codebooks = num_codebooks
        self._num_codewords = len(codebook) // num_codebooks
        self._dim = codebook.shape[1]
        bits = num_codebooks * math.log2(self._num_codewords) / self._dim
        self._trials = effort.trials
        self._width = effort.width if bits < MANY_BITS else effort.width_of_many_bits
        self._shift = normalization.centre.astype(np.float64) / num_codebooks
        scaled = (codebook - self._shift) / normalization.scale
        exponent = math.frexp(float(np.abs(scaled).max()))[1]
        if exponent > _MOST_EXPONENT:  # squares of codewords would be too large in these units
            normalization = replace(normalization, scale=math.ldexp(normalization.scale, exponent))
            scaled = np.ldexp(scaled, -exponent)
        self._normalization, self._codebook = normalization, scaled
        self._unit = temperature_of(loss / normalization.scale**2, self._dim)
        self._order = deciding_order(scaled, self._num_codewords)
        noise = gumbel_table(seed, self._num_codewords)
        self._draw = Draw(seed, int(Stream.PERTURBATION), 0, noise)
        self._work = self._begin(1)

    @one_blas_thread
    def encode(
        self, rows: np.ndarray, first_row: int, start: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns the codes of a block of rows.

        Args:
            rows: float32 ``(n, D)``.
            first_row: Number of the first of them in the whole table.
            start: Codes to improve, ``(n, M)``; None: codes are found from scratch.

        Returns:
            uint8 or uint16 ``(n, M)``; no worse than ``start``.

        Raises:
            InputError: The rows have the wrong number of columns, or a number that is not finite.
        """
        self._check(rows)
        codes = np.zeros((len(rows), self._num_codebooks), code_dtype(self._num_codewords))
        if start is not None:
            codes[...] = start
        for first in range(0, len(rows), _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            number = (first_row + first) % _ROW_NUMBERS
            codes[part] = self._encode(
                self._upload(rows[part]), codes[part], number, from_nothing=start is None
            )
        return codes

    @one_blas_thread
    def errors(self, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Returns each row's squared distance from its reconstruction.

        Args:
            rows: float32 ``(n, D)``.
            codes: Their codes, ``(n, M)``.

        Returns:
            float64 ``(n,)``, in squares of the rows' units.
        """
        self._check(rows)
        errors = np.empty(len(rows))
        for first in range(0, len(rows), _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            errors[part] = self._engine.to_host(
                self._squares(self._upload(rows[part]), codes[part])
            )
        return errors * self._normalization.scale**2

    @one_blas_thread
    def block_sums(self, rows: np.ndarray, codes: np.ndarray) -> BlockSums:
        """Returns the contribution of a block to the least-squares codebook.

        Args:
            rows: float32 ``(n, D)``, at least one.
            codes: Their codes, ``(n, M)``.
        """
        self._check(rows)
        engine, work, weights = self._engine, self._begin(len(rows)), np.ones(len(rows))
        squares = 0.0
        for first in range(0, len(rows), _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            x = self._upload(rows[part])
            work.tally(x, engine.upload(codes[part]), weights[part])
            squares += engine.squares(x, weights[part])
        equations = work.equations()
        return BlockSums(
            *map(engine.to_host, (equations.counts, equations.sums, equations.used)),
            squares,
            float(len(rows)),
        )

    @one_blas_thread
    def solve(self, sums: BlockSums) -> tuple[np.ndarray, float]:
        """Returns the codebook that is best for all rows of some blocks, given their codes.

        Args:
            sums: The sum of the blocks' contributions.

        Returns:
            float32 ``(M*K, D)``, in the units of the rows, and the rows' loss with it, in squares
            of these units. Codewords that no row uses do not change.
        """
        equations = LeastSquares(*self._codebook.shape)
        equations.counts, equations.sums = sums.counts.copy(), sums.sums
        equations.squares, equations.weight = sums.squares, sums.weight
        solution = equations.solve(self._codebook)
        scale = self._normalization.scale
        codebook = (solution * scale + self._shift).astype(np.float32)
        return codebook, equations.loss(solution) * scale**2

    def _encode(
        self, x: Array, start: np.ndarray, first_row: int, *, from_nothing: bool
    ) -> np.ndarray:
        """Returns the codes of a few normalized rows."""
        engine, work = self._engine, self._work
        codes, draw = engine.upload(start), self._draw
        samples = _TEMPERATURE * self._unit, self._trials, _SWEEPS
        if from_nothing and self._width == 1:
            work.find(x, codes, first_row, draw, self._order, *samples)
        else:
            work.search(x, codes, self._order, self._width)
            work.improve(x, codes, first_row, draw, *samples)
        return engine.to_host(codes)

    def _squares(self, x: Array, codes: np.ndarray) -> Array:
        """Returns normalized rows' squared distances from their reconstructions, ``(n,)``."""
        left = self._engine.residuals(x, codes, self._codebook)
        return self._engine.xp.square(left, dtype=np.float64).sum(axis=1)

    def _upload(self, rows: np.ndarray) -> Array:
        """Sends rows to the engine and normalizes them there."""
        xp = self._engine.xp
        return self._normalization.apply(xp.asarray(rows), xp)

    def _begin(self, num_rows: int) -> Pass:
        """Begins a pass over this number of rows."""
        codes = np.empty((0, self._num_codebooks), code_dtype(self._num_codewords))
        return self._engine.begin(
            _Codebook(self._codebook, codes, np.ones(num_rows), self._num_codewords)
        )

    def _check(self, rows: np.ndarray) -> None:
        if rows.ndim != 2 or rows.shape[1] != self._dim:
            raise InputError(
                f"rows of shape {rows.shape}; the codebook is for rows of {self._dim} columns"
            )
        if not np.isfinite(rows).all():
            worst = int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise InputError(f"row {worst} of the block has a number that is not finite")


def _effort_of(effort: Effort | str) -> Effort:
    if isinstance(effort, Effort):
        return effort
    if effort not in EFFORTS:
        raise InputError(f"the effort is {effort!r}; wanted one of {', '.join(EFFORTS)}")
    return EFFORTS[effort]
