"""Measuring the time of a training step."""

import time
from dataclasses import replace

from nncompress.autoencoder.size import num_parameters
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.session import make_session
from nncompress.training.settings import TrainingSettings

_TIMED = 0.5  # seconds of training to time
# Larger autoencoders are not timed: a step takes as long per parameter as with one of this size,
# which does not fit in any cache either.
_MOST_PARAMETERS, _MOST_CODEWORDS = 2_000_000, 256


def seconds_a_step(matrix: EmbeddingMatrix, settings: TrainingSettings, machine: Machine) -> float:
    """Returns the seconds that a step of training takes, by timing some steps.

    Args:
        matrix: The embedding matrix.
        settings: The settings of training.
        machine: The machine to train on.
    """
    timed = _small_enough(settings, matrix.dim)
    updater = make_session(matrix, timed, machine).trainer.updater
    updater.update()  # the first one compiles kernels
    updater.wait()
    started, first = time.perf_counter(), updater.iteration
    while time.perf_counter() - started < _TIMED and updater.iteration < settings.iterations:
        updater.update()
    updater.wait()
    elapsed = time.perf_counter() - started
    return (
        elapsed
        / max(1, updater.iteration - first)
        * _size(settings, matrix.dim)
        / _size(timed, matrix.dim)
    )


def _small_enough(settings: TrainingSettings, dim: int) -> TrainingSettings:
    if _size(settings, dim) <= _MOST_PARAMETERS:
        return settings
    timed = replace(settings, num_codewords=min(settings.num_codewords, _MOST_CODEWORDS))
    while timed.num_codebooks > 1 and _size(timed, dim) > _MOST_PARAMETERS:
        timed = replace(timed, num_codebooks=timed.num_codebooks - -(-timed.num_codebooks // 8))
    return timed


def _size(settings: TrainingSettings, dim: int) -> int:
    return num_parameters(dim, settings.num_codebooks, settings.num_codewords)
