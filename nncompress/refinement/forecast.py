"""A forecast of the time that refinement takes, from passes over a sample of the rows."""

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
    one_blas_thread,
    prepare_rows,
)
from nncompress.refinement.residual import residual_start
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

_TIMED_ROWS = 2_048
_SWEEPS = 4
# From about as many bits a dimension, residual codebooks are the better start.
_MANY_BITS = 1.0


@one_blas_thread
def forecast_seconds(
    matrix: EmbeddingMatrix,
    num_codebooks: int,
    num_codewords: int,
    settings: RefinementSettings,
    machine: Machine,
) -> float:
    """Returns about how many seconds ``refine`` will take.

    Args:
        matrix: The embedding matrix, ``(N, D)``.
        num_codebooks: M.
        num_codewords: K.
        settings: The settings of refinement.
        machine: The machine that ``refine`` will compute on.

    Raises:
        InputError: The codebook has more than ``MOST_CODEWORDS`` codewords.
    """
    # So few rows would leave most of a GPU idle.
    timed = spaced_rows(_TIMED_ROWS if machine.runtime is None else SAMPLE_ROWS, len(matrix))
    sample = EmbeddingMatrix(matrix.take(timed), matrix.name)
    codes = np.zeros((len(sample), num_codebooks), code_dtype(num_codewords))
    codebook = np.zeros((num_codebooks * num_codewords, matrix.dim), np.float32)
    rows = prepare_rows(sample, codes, codebook, None, 0, make_engine(machine))
    residual_start(rows)
    unit = rows.temperature
    sweep = _seconds_a_row(rows, lambda: rows.relax([unit] * _SWEEPS)) / _SWEEPS
    improve = _seconds_a_row(rows, lambda: rows.improve(settings.trials, unit))
    search = _seconds_a_row(rows, lambda: rows.search(WIDTH)) / WIDTH
    all_rows, sampled, probed = (
        min(n, len(matrix)) for n in (len(matrix), SAMPLE_ROWS, PROBE_ROWS)
    )
    seconds = probed * (sweep * sum(sweeps_of(PROBE_ROUNDS)) + search * sum(PROBE_WIDTHS))
    if num_codebooks * np.log2(num_codewords) < _MANY_BITS * matrix.dim:
        seconds += sampled * sweep * sum(sweeps_of(settings.annealing_rounds))
        if sampled < all_rows:
            seconds += all_rows * sweep * len(falling_temperatures(unit))
        seconds += all_rows * improve * settings.rounds / 2  # few gain enough to go on
    else:
        seconds += search * (sampled * sum(WIDTHS) + all_rows * WIDTH * (settings.rounds + 1))
        seconds += all_rows * improve * settings.rounds
    return seconds if settings.seconds is None else min(seconds, settings.seconds)


def _seconds_a_row(rows, work: Callable[[], None]) -> float:
    """Times work on all rows the second time that it is done."""
    work()
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / len(rows.matrix)
