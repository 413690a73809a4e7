"""Putting chain, updater and validation together under a Trainer."""

import os
from dataclasses import dataclass

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.factory import autoencoder_for
from nncompress.chainer_compat import chainer
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import fit_normalization
from nncompress.training.settings import TrainingSettings
from nncompress.training.triggers import ReportTrigger, StopTrigger
from nncompress.training.updater import AutoencoderUpdater
from nncompress.training.validation import Validation

VALIDATION_INTERVAL = 1_000


@dataclass(frozen=True)
class TrainingSession:
    """What a training run consists of.

    Attributes:
        chain: The autoencoder.
        trainer: Trains it; it validates already, and takes further extensions.
    """

    chain: CompositionalAutoencoder
    trainer: chainer.training.Trainer


def make_session(
    matrix: EmbeddingMatrix,
    settings: TrainingSettings,
    out: str | os.PathLike,
    device: chainer.backend.Device,
    validation_interval: int | None = VALIDATION_INTERVAL,
    threads: int | None = None,
    weights: np.ndarray | None = None,
) -> TrainingSession:
    """Builds a trainer that trains an autoencoder on a matrix and validates it.

    Args:
        matrix: The embedding matrix.
        settings: The run's settings.
        out: Directory for the files that extensions write.
        device: Where to train.
        validation_interval: Validate every so many iterations, beside every epoch and the end.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.

    Returns:
        The chain, freshly initialized and on its device, and its trainer.
    """
    chain = autoencoder_for(device, threads)(
        matrix.dim,
        settings.num_codebooks,
        settings.num_codewords,
        normalization=fit_normalization(matrix) if settings.normalize else None,
        init=settings.init,
        seed=settings.seed,
        tau=settings.tau_start,
    )
    chain.to_device(device)
    make_updater = AutoencoderUpdater
    if device.xp is np:
        from nncompress.training.fused_updater import FusedUpdater as make_updater
    updater = make_updater(matrix, chain, settings, device, weights)
    trainer = chainer.training.Trainer(updater, StopTrigger(settings.iterations), str(out))
    trainer.extend(
        Validation(matrix, chain, settings.tau, device, weights),
        trigger=ReportTrigger(settings.iterations, iterations=validation_interval, epochs=True),
    )
    return TrainingSession(chain, trainer)
