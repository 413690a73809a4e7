"""A forecast of the time that refinement takes, from passes over a few of the rows."""

import time
from collections.abc import Callable

import numpy as np

from nncompress.embedding.codes import code_dtype
from nncompress.machine import Machine
from nncompress.refinement.annealing import falling_temperatures, sweeps_of
from nncompress.refinement.engines import make_engine
from nncompress.refinement.refine import (
    PROBE_ROUNDS,
    PROBE_ROWS,
    PROBE_WIDTHS,
    SAMPLE_ROWS,
    WIDTH,
    WIDTHS,
    RefinementSettings,
    annealing_rounds_for,
    one_blas_thread,
    prepare_rows,
)
from nncompress.refinement.residual import residual_start
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

_TIMED_ROWS = 1_024
# Larger codebooks are not timed themselves.
_TIMED_CODEWORDS = 1_024
_SWEEPS = 4
# From about as many bits a dimension, residual codebooks are the better start.
_MANY_BITS = 1.0
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

    Passes are timed with at most 1,024 codewords, and their time is scaled: that of a row goes
    with its M visits to L numbers each, that of the least squares with L cubed.

    Args:
        matrix: The embedding matrix, ``(N, D)``.
        num_codebooks: M.
        num_codewords: K.
        settings: The settings of refinement.
        machine: The machine that ``refine`` will compute on.

    Raises:
        InputError: The codebook has more than ``MOST_CODEWORDS`` codewords.
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
    improve = seconds_a_row(lambda: rows.improve(settings.trials, unit, solve=False))
    search = seconds_a_row(lambda: rows.search(WIDTH, solve=False)) / WIDTH
    solve = max(0.0, _seconds_of(rows.fit) - _seconds_of(rows.measure))
    solve *= (num_units / timed_units) ** 3
    all_rows, sampled, probed = (
        min(n, len(matrix)) for n in (len(matrix), SAMPLE_ROWS, PROBE_ROWS)
    )
    seconds = probed * (sweep * sum(sweeps_of(PROBE_ROUNDS)) + search * sum(PROBE_WIDTHS))
    solves = PROBE_ROUNDS + len(PROBE_WIDTHS) + settings.rounds
    if num_codebooks * np.log2(num_codewords) < _MANY_BITS * matrix.dim:
        rounds = annealing_rounds_for(settings, num_units)
        seconds += sampled * sweep * sum(sweeps_of(rounds))
        solves += rounds
        if sampled < all_rows:
            seconds += all_rows * sweep * len(falling_temperatures(unit))
        seconds += all_rows * improve * settings.rounds / 2  # few gain enough to go on
    else:
        seconds += search * (sampled * sum(WIDTHS) + all_rows * WIDTH * (settings.rounds + 1))
        seconds += all_rows * improve * settings.rounds
        solves += len(WIDTHS) + settings.rounds
    return seconds + solves * solve


def _row_work(num_codebooks: int, num_units: int, dim: int) -> float:
    return num_units * (num_codebooks + _PRODUCT_SHARE * dim)


def _seconds_of(work: Callable[[], None]) -> float:
    """Times work the second time that it is done."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
