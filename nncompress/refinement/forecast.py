"""A forecast of the time that refinement takes, from passes over some of the rows."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.codes import code_dtype
from nncompress.machine import Machine
from nncompress.refinement.annealing import falling_temperatures, sweeps_of
from nncompress.refinement.blas import one_blas_thread
from nncompress.refinement.encoding import MANY_BITS
from nncompress.refinement.engines import make_engine
from nncompress.refinement.growing import widths_of
from nncompress.refinement.refine import (
    PROBE_ROUNDS,
    PROBE_ROWS,
    PROBE_TRIALS,
    PROBE_WIDTHS,
    WIDTH,
    RefinementSettings,
    prepare_rows,
    rounds_of,
)
from nncompress.refinement.residual import residual_start
from nncompress.refinement.room import (
    CODEWORDS_OF_FULL_LENGTH,
    SAMPLE_ROWS,
    batch_rows,
    sample_rows,
    solution_seconds,
)
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

_TIMED_ROWS = 1_024
# Larger codebooks are not timed; their time is scaled from smaller ones.
_TIMED_CODEWORDS = 1_024
_SWEEPS = 4
# The cost of a number in a product, as a share of that of a number in a row of the Gram matrix,
# which is only added.
_PRODUCT_SHARE = 1 / 8
# The usual seconds of a sweep, a trial and a beam search (for each code of the beam), for each
# unit of ``_row_work``.
_USUAL = 3.5e-10, 3.5e-10, 3.5e-10
# The usual seconds to solve for a codebook, for each unit of the cubed number of codewords.
_USUAL_SOLUTION = 5e-11


@dataclass(frozen=True)
class Passes:
    """The seconds that each part of refinement takes, for one row unless stated otherwise.

    Attributes:
        sweep: A sweep of annealing.
        trial: A trial of a round.
        search: Beam search, for each code of the beam.
        solution: Solving for the codebook once, for all rows.
    """

    sweep: float
    trial: float
    search: float
    solution: float

    @classmethod
    def usual(cls, num_codebooks: int, num_codewords: int, dim: int) -> "Passes":
        """Returns estimates for one core of a typical machine."""
        num_units = num_codebooks * num_codewords
        work = _row_work(num_codebooks, num_units, dim)
        return cls(*(each * work for each in _USUAL), _USUAL_SOLUTION * num_units**3)

    def seconds(
        self,
        shape: tuple[int, int],
        num_codebooks: int,
        num_codewords: int,
        settings: RefinementSettings,
    ) -> float:
        """Returns the seconds that ``refine`` takes.

        Args:
            shape: N and D.
            num_codebooks: M.
            num_codewords: K.
            settings: The settings of refinement.
        """
        num_rows, dim = shape
        num_units = num_codebooks * num_codewords
        sampled, probed = min(num_rows, sample_rows(dim)), min(num_rows, PROBE_ROWS)
        searching = num_codebooks * np.log2(num_codewords) >= MANY_BITS * dim
        rounds, width = rounds_of(settings, num_rows, searching=searching)
        seconds = probed * self.sweep * sum(sweeps_of(PROBE_ROUNDS))
        seconds += probed * self.search * sum(PROBE_WIDTHS)
        seconds += self.trial * PROBE_TRIALS * (2 * probed + sampled)
        solutions = PROBE_ROUNDS + len(PROBE_WIDTHS)
        if searching:
            widths = widths_of(num_units)
            batch = min(num_rows, batch_rows(num_units, dim))
            seconds += self.search * (batch * sum(widths) + num_rows * width * rounds)
            solutions += len(widths) + 2 * rounds
        else:
            few = min(1.0, CODEWORDS_OF_FULL_LENGTH / num_units)
            annealing_rounds = math.ceil(settings.annealing_rounds * few)
            seconds += sampled * self.sweep * sum(sweeps_of(annealing_rounds))
            if sampled < num_rows:
                seconds += num_rows * self.sweep * len(falling_temperatures(1.0))
            rounds = math.ceil(rounds / 2)  # few rounds gain enough for all to be made
            solutions += annealing_rounds + rounds
        seconds += num_rows * self.trial * settings.trials * rounds
        return seconds + solutions * self.solution


@one_blas_thread
def forecast_seconds(
    matrix: EmbeddingMatrix,
    num_codebooks: int,
    num_codewords: int,
    settings: RefinementSettings,
    machine: Machine,
) -> float:
    """Returns about how many seconds ``refine`` would take without a limit.

    Passes are timed with at most 1,024 codewords, and the time per row is scaled: it is
    proportional to M visits to L numbers each.

    Args:
        matrix: The embedding matrix, ``(N, D)``.
        num_codebooks: M.
        num_codewords: K.
        settings: The settings of refinement.
        machine: The machine that ``refine`` will compute on.
    """
    num_units = num_codebooks * num_codewords
    timed_codewords = min(num_codewords, _TIMED_CODEWORDS // 2)
    timed_codebooks = min(num_codebooks, max(1, _TIMED_CODEWORDS // timed_codewords))
    timed_units = timed_codebooks * timed_codewords
    # Fewer rows would leave most of a GPU idle.
    count = _TIMED_ROWS if machine.runtime is None else SAMPLE_ROWS
    sample = EmbeddingMatrix(matrix.take(spaced_rows(count, len(matrix))), matrix.name)
    codes = np.zeros((len(sample), timed_codebooks), code_dtype(timed_codewords))
    codebook = np.zeros((timed_units, matrix.dim), np.float32)
    rows = prepare_rows(sample, codes, codebook, None, 0, make_engine(machine))
    residual_start(rows)
    unit = rows.temperature
    larger = _row_work(num_codebooks, num_units, matrix.dim) / _row_work(
        timed_codebooks, timed_units, matrix.dim
    )

    def seconds_a_row(work: Callable[[], None]) -> float:
        return _seconds_of(work) / len(sample) * larger

    sweep = seconds_a_row(lambda: rows.relax([unit] * _SWEEPS, solve=False)) / _SWEEPS
    trial = seconds_a_row(lambda: rows.improve(settings.trials, unit, solve=False))
    trial /= max(1, settings.trials)
    search = seconds_a_row(lambda: rows.search(WIDTH, solve=False)) / WIDTH
    # On a GPU it takes next to no time.
    solution = solution_seconds(num_units, matrix.dim) if machine.runtime is None else 0.0
    passes = Passes(sweep, trial, search, solution)
    return passes.seconds(matrix.shape, num_codebooks, num_codewords, settings)


def _row_work(num_codebooks: int, num_units: int, dim: int) -> float:
    return num_units * (num_codebooks + _PRODUCT_SHARE * dim)


def _seconds_of(work: Callable[[], None]) -> float:
    """Returns the time that work takes when it is done for the second time."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
