"""Putting chain, updater and validation together under a Trainer."""

import os
from dataclasses import dataclass

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.factory import autoencoder_for
from nncompress.chainer_compat import chainer
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import fit_normalization
from nncompress.training.many_steps_updater import ManyStepsUpdater
from nncompress.training.settings import TrainingSettings
from nncompress.training.triggers import REPORT_INTERVAL, ReportTrigger, StopTrigger
from nncompress.training.validation import Validation


@dataclass(frozen=True)
class TrainingSession:
    """What a training run consists of.

    Attributes:
        chain: The autoencoder.
        trainer: Trains it; it validates already, and takes further extensions.
    """

    chain: CompositionalAutoencoder
    trainer: chainer.training.Trainer


def updater_for(device: chainer.backend.Device) -> type[ManyStepsUpdater]:
    """Returns the updater for the autoencoders that ``autoencoder_for`` makes for a device."""
    if device.xp is np:
        from nncompress.training.fused_updater import FusedUpdater

        return FusedUpdater
    from nncompress.training.gpu_updater import GpuUpdater

    return GpuUpdater


def make_session(
    matrix: EmbeddingMatrix,
    settings: TrainingSettings,
    out: str | os.PathLike,
    device: chainer.backend.Device,
    validation_interval: int | None = REPORT_INTERVAL,
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
    chain = autoencoder_for(device, threads, settings.full_precision)(
        matrix.dim,
        settings.num_codebooks,
        settings.num_codewords,
        normalization=fit_normalization(matrix) if settings.normalize else None,
        init=settings.init,
        seed=settings.seed,
        tau=settings.tau_start,
    )
    chain.to_device(device)
    updater = updater_for(device)(matrix, chain, settings, device, weights)
    trainer = chainer.training.Trainer(updater, StopTrigger(settings.iterations), str(out))
    trainer.extend(
        Validation(matrix, chain, settings.tau, device, weights),
        trigger=ReportTrigger(settings.iterations, iterations=validation_interval, epochs=True),
    )
    return TrainingSession(chain, trainer)
