"""Rows with codes and a codebook, and the passes that improve either."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from tqdm import tqdm

from nncompress.random.noise import Stream, generator
from nncompress.refinement.engines.interface import Array, Draw, Engine, Pass
from nncompress.refinement.record import Record
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows
from nncompress.sources.normalization import Normalization

# The number of places in the noise table where reading may begin; the table has K more numbers.
_NOISE_PLACES = 8_192
_SWEEPS = 4


def temperature_of(loss: float, dim: int) -> float:
    """Returns twice the mean squared distance per dimension, the unit of temperatures.

    If the residuals of the rows were Gaussian noise, codes would have probabilities proportional
    to ``exp(-squared distance / temperature)``.

    Args:
        loss: Half the mean squared distance.
        dim: D.
    """
    return 4.0 * loss / dim


def deciding_order(codebook: np.ndarray, num_codewords: int) -> np.ndarray:
    """Returns the groups of a codebook, the most important ones first, ``(M,)``.

    Args:
        codebook: ``(M*K, D)``.
        num_codewords: K.
    """
    groups = codebook.reshape(-1, num_codewords, codebook.shape[1])
    return np.argsort(-groups.var(axis=1).sum(axis=1), kind="stable")


def gumbel_table(seed: int, num_codewords: int) -> np.ndarray:
    """Returns Gumbel(0, 1) draws, float32, with at least K numbers after each starting place.

    Args:
        seed: Seed of everything random.
        num_codewords: K.
    """
    draws = generator(seed, Stream.PERTURBATION).gumbel(size=_NOISE_PLACES + num_codewords)
    return draws.astype(np.float32)


@dataclass
class CodedRows:
    """Rows, their codes and the codebook, in normalized units.

    A pass goes through the rows once, a block at a time, and changes the codes. It may end with
    the least-squares codebook for the new codes.

    Attributes:
        matrix: The rows, ``(N, D)``, in their own units or normalized.
        weights: The weight of each row in the loss, float64 ``(N,)``.
        normalization: The map from the matrix's own units to normalized units.
        codes: ``(N, M)``; changed in place.
        codebook: float64 ``(M*K, D)``, for normalized rows.
        seed: Seed of everything random.
        engine: The engine to compute with.
        is_normalized: True if the matrix is normalized already.
        loss: Half the weighted mean squared distance of normalized rows, as of the last pass.
        passes: Number of passes made so far.
        record: Keeps codes and codebook, so that an interrupted job can be continued; None: they
            are not kept.
        squares: The weighted sum of the normalized rows' squared lengths, after the first pass.
    """

    matrix: EmbeddingMatrix
    weights: np.ndarray
    normalization: Normalization
    codes: np.ndarray
    codebook: np.ndarray
    seed: int
    engine: Engine
    is_normalized: bool = False
    loss: float = np.inf
    passes: int = 0
    record: Record | None = None
    squares: float | None = field(init=False, default=None)
    _noise: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._noise = gumbel_table(self.seed, self.num_codewords)

    @property
    def num_codewords(self) -> int:
        """K."""
        return len(self.codebook) // self.codes.shape[1]

    @property
    def temperature(self) -> float:
        """The unit of temperatures; see ``temperature_of``."""
        return temperature_of(self.loss, self.matrix.dim)

    @property
    def loss_in_units(self) -> float:
        """The loss in the units of the matrix."""
        return self.loss * self.normalization.scale**2

    def export_codebook(self) -> np.ndarray:
        """Returns the codebook in the units of the matrix, float32 ``(M*K, D)``.

        Each group holds an equal part of the centre.
        """
        shift = self.normalization.centre.astype(np.float64) / self.codes.shape[1]
        return (self.codebook * self.normalization.scale + shift).astype(np.float32)

    def sample(self, num_rows: int, name: str) -> "CodedRows":
        """Returns a copy of evenly spaced rows in memory, or of all rows if there are no more.

        Rows of weight 0 are left out.

        Args:
            num_rows: The most rows.
            name: The name of the new rows' record, if there is one.
        """
        rows = spaced_rows(num_rows, len(self.matrix), self.weights)
        return replace(
            self,
            matrix=self._in_memory(rows),
            is_normalized=True,
            weights=self.weights[rows],
            codes=self.codes[rows],
            codebook=self.codebook.copy(),
            record=self._record_of(name),
        )

    def after(self, before: "CodedRows", num_rows: int, shift: float) -> "CodedRows":
        """Returns evenly spaced rows without codes, which continue from other rows.

        They take over the codebook, the record and the number of passes of the rows before.

        Args:
            before: The rows before.
            num_rows: The most rows.
            shift: How far they are shifted from those of ``sample``; see ``spaced_rows``.
        """
        rows = spaced_rows(num_rows, len(self.matrix), self.weights, shift)
        return replace(
            self,
            matrix=self._in_memory(rows),
            is_normalized=True,
            weights=self.weights[rows],
            codes=np.zeros((len(rows), self.codes.shape[1]), self.codes.dtype),
            codebook=before.codebook,
            record=before.record,
            passes=before.passes,
        )

    def with_codebook(self, codebook: np.ndarray, name: str) -> "CodedRows":
        """Returns the same rows with another codebook and a copy of the codes.

        Args:
            codebook: ``(M*K, D)``, for normalized rows.
            name: The name of the new rows' record, if there is one.
        """
        return replace(
            self,
            codes=self.codes.copy(),
            codebook=codebook.copy(),
            record=self._record_of(name),
        )

    def keep(self) -> None:
        """Saves codes and codebook, in case the job is interrupted, if there is a record."""
        if self.record is not None:
            self.record.keep(self)

    def normalized(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows of the matrix in normalized units, float32."""
        if self.is_normalized:
            return rows
        return self.normalization.apply(rows)

    def measure(self) -> None:
        """Computes the loss without changing anything."""
        self._pass(None, solve=False, bar=None)

    def fit(self) -> None:
        """Makes the codebook the best one for the codes."""
        self._pass(None, solve=True, bar=None)

    def relax(
        self, temperatures: list[float], *, solve: bool = True, bar: tqdm | None = None
    ) -> None:
        """Samples all codes, once for each temperature (in units of squared distance)."""
        draw, schedule = self._draw(), np.array(temperatures, dtype=np.float32)
        self._pass(lambda work, *block: work.relax(*block, draw, schedule), solve, bar)

    def improve(
        self, trials: int, temperature: float, *, solve: bool = True, bar: tqdm | None = None
    ) -> None:
        """Improves codes by ICM, starting from the codes as they are and from samples of them."""
        how = self._draw(), temperature, trials, _SWEEPS
        self._pass(lambda work, *block: work.improve(*block, *how), solve, bar)

    def search(self, width: int, *, solve: bool = True, bar: tqdm | None = None) -> None:
        """Improves codes by beam search, beginning with the most important groups."""
        order = deciding_order(self.codebook, self.num_codewords)
        self._pass(lambda work, x, codes, _: work.search(x, codes, order, width), solve, bar)

    def revive(self, used: np.ndarray) -> None:
        """Moves codewords that no row uses to where they would help a badly reconstructed row.

        With the new codeword, that row would be reconstructed exactly; until a row uses it, the
        loss does not change.

        Args:
            used: True for each codeword that any row uses, bool ``(L,)``.
        """
        dead = np.flatnonzero(~used)
        if not len(dead):
            return
        random = generator(self.seed, Stream.PERTURBATION, self.passes)
        sample = random.integers(len(self.matrix), size=8 * len(dead))
        engine = self.engine
        rows = engine.take(self, sample)
        residuals = engine.residuals(rows, self.codes[sample], self.codebook)
        sizes = engine.to_host(engine.xp.einsum("nd,nd->n", residuals, residuals))
        worst = np.argsort(-sizes, kind="stable")[: len(dead)]
        residuals = engine.to_host(residuals[engine.xp.asarray(worst)])
        for unit, index, residual in zip(dead, worst, residuals, strict=True):
            group = unit // self.num_codewords
            current = group * self.num_codewords + int(self.codes[sample[index], group])
            self.codebook[unit] = self.codebook[current] + residual

    def _in_memory(self, rows: np.ndarray) -> EmbeddingMatrix:
        """Returns the rows of these numbers, normalized."""
        part = self.normalized(self.matrix.take(rows))
        # A row very near the centre is practically 0.
        return EmbeddingMatrix(part, self.matrix.name, tiny_rows=True)

    def _record_of(self, name: str) -> Record | None:
        return None if self.record is None else self.record.beside(name)

    def _draw(self) -> Draw:
        return Draw(self.seed, int(Stream.PERTURBATION), self.passes, self._noise)

    def _pass(
        self,
        change: Callable[[Pass, Array, Array, int], None] | None,
        solve: bool,
        bar: tqdm | None,
    ) -> None:
        """Makes one pass over the rows.

        Args:
            change: Changes the codes of a block; takes the pass, the rows, the codes and the
                number of the first row. None leaves the codes as they are.
            solve: True to make the codebook the best one for the new codes.
            bar: A progress bar that counts the finished rows, or None.
        """
        record = self.record
        if record is not None and record.repeat(self):
            if bar is not None:
                bar.update(len(self.matrix))
            return
        engine = self.engine
        work = engine.begin(self)
        done, squares, weight = (0, 0.0, 0.0) if record is None else record.go_on(self, work)
        if bar is not None:
            bar.update(done)
        for part, x in engine.blocks(self):
            if part.start < done:
                continue
            codes, weights = engine.upload(self.codes[part]), self.weights[part]
            if change is not None:
                change(work, x, codes, part.start)
            work.tally(x, codes, weights)
            if change is not None:
                self.codes[part] = engine.to_host(codes.astype(self.codes.dtype))
            if self.squares is None:
                squares += engine.squares(x, weights)
            weight += float(weights.sum())
            if bar is not None:
                bar.update(len(x))
            if record is not None:
                record.note_block(self, work, (part.stop, squares, weight))
        if self.squares is None:
            self.squares = squares
        equations = work.equations()
        del work  # frees the Gram matrix before the equations are solved
        equations.squares, equations.weight = self.squares, weight
        self.passes += 1
        codebook = engine.xp.asarray(self.codebook)
        if solve:
            codebook = equations.solve(codebook)
            self.codebook = engine.to_host(codebook)
        self.loss = equations.loss(codebook)
        if solve:
            self.revive(engine.to_host(equations.used))
        if record is not None:
            record.note(self)
