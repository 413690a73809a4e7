"""A forecast of the time that refinement takes, from passes over a few of the rows."""

import math
import time
from collections.abc import Callable

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
# Larger codebooks are not timed themselves.
_TIMED_CODEWORDS = 1_024
_SWEEPS = 4
# A number of a product takes this share of one of a row of the Gram matrix, which is only added.
_PRODUCT_SHARE = 1 / 8


@one_blas_thread
def forecast_seconds(
    matrix: EmbeddingMatrix,
    num_codebooks: int,
    num_codewords: int,
    settings: RefinementSettings,
    machine: Machine,
) -> float:
    """Returns about how many seconds ``refine`` would take without a limit.

    Passes are timed with at most 1,024 codewords, and the time of a row is scaled: it goes with
    its M visits to L numbers each.

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
    # So few rows would leave most of a GPU idle.
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
    num_rows = len(matrix)
    sampled, probed = min(num_rows, sample_rows(matrix.dim)), min(num_rows, PROBE_ROWS)
    searching = num_codebooks * np.log2(num_codewords) >= MANY_BITS * matrix.dim
    rounds, width = rounds_of(settings, num_rows, searching=searching)
    seconds = probed * (sweep * sum(sweeps_of(PROBE_ROUNDS)) + search * sum(PROBE_WIDTHS))
    seconds += trial * PROBE_TRIALS * (2 * probed + sampled)
    solutions = PROBE_ROUNDS + len(PROBE_WIDTHS)
    if searching:
        widths = widths_of(num_units)
        batch = min(num_rows, batch_rows(num_units, matrix.dim))
        seconds += search * (batch * sum(widths) + num_rows * width * rounds)
        solutions += len(widths) + 2 * rounds
    else:
        few = min(1.0, CODEWORDS_OF_FULL_LENGTH / num_units)
        annealing_rounds = math.ceil(settings.annealing_rounds * few)
        seconds += sampled * sweep * sum(sweeps_of(annealing_rounds))
        if sampled < num_rows:
            seconds += num_rows * sweep * len(falling_temperatures(unit))
        rounds = math.ceil(rounds / 2)  # few gain enough to go on
        solutions += annealing_rounds + rounds
    seconds += num_rows * trial * settings.trials * rounds
    if machine.runtime is None:
        seconds += solutions * solution_seconds(num_units, matrix.dim)
    return seconds


def _row_work(num_codebooks: int, num_units: int, dim: int) -> float:
    return num_units * (num_codebooks + _PRODUCT_SHARE * dim)


def _seconds_of(work: Callable[[], None]) -> float:
    """Times work the second time that it is done."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
