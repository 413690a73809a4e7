"""Learning an autoencoder: chain, updater and validation under a Trainer."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.forms import autoencoder_for, trains_by_kernels
from nncompress.chainer_support.compatibility import chainer
from nncompress.formats.work import WorkDirectory
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.best import BestParameters
from nncompress.training.checkpoint import Checkpoint
from nncompress.training.divergence import Divergence
from nncompress.training.memory import check_memory
from nncompress.training.processes import ALONE, Processes
from nncompress.training.settings import TrainingSettings
from nncompress.training.triggers import (
    REPORT_INTERVAL,
    ReportTrigger,
    StopTrigger,
    UpdateTrigger,
)
from nncompress.training.updater import AutoencoderUpdater
from nncompress.training.validation import Validation


@dataclass(frozen=True)
class Learned:
    """The end of training.

    Attributes:
        chain: The autoencoder with its best parameters, on the machine's device.
        loss: Its validation loss in the units of the matrix, weighted if rows have weights.
        iteration: The iteration that they are from.
        validation: The trainer's validation.
    """

    chain: CompositionalAutoencoder
    loss: float
    iteration: int
    validation: Validation

    def warn_if_poor(self) -> None:
        """Warns if the mean row is nearer to the validation rows than their codes are."""
        self.validation.warn_if_poor()


@dataclass(frozen=True)
class TrainingSession:
    """The parts of a training run.

    Attributes:
        chain: The autoencoder.
        trainer: Trains it; it validates already, and takes further extensions.
        best: The best parameters so far.
        validation: The trainer's validation.
    """

    chain: CompositionalAutoencoder
    trainer: chainer.training.Trainer
    best: BestParameters
    validation: Validation

    def run(self) -> Learned:
        """Trains to the end, and returns the best that was found.

        Raises:
            Diverged: A loss or a parameter is not finite.
        """
        self.trainer.run(show_loop_exception_msg=False)  # whoever called prints it
        self.best.restore()
        return Learned(self.chain, self.best.loss, self.best.iteration, self.validation)


def learn(
    matrix: EmbeddingMatrix | np.ndarray | str | os.PathLike,
    settings: TrainingSettings,
    machine: Machine | None = None,
    *,
    weights: np.ndarray | None = None,
    optimizer: chainer.GradientMethod | None = None,
    extensions: Sequence[object] = (),
    out: str | os.PathLike = ".",
    work: WorkDirectory | None = None,
) -> Learned:
    """Trains an autoencoder on a matrix.

    Nothing is written but by the extensions given, and to the work directory.

    Args:
        matrix: The embedding matrix, ``(N, D)``: an array, the path of a ``.npy`` file, or one
            that is open.
        settings: Every number that training depends on; ``TrainingOptions.resolve`` makes them.
        machine: The machine to train on; None: the CPU, with all usable cores.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        optimizer: In place of the one that the settings name, whose learning rate and clipping do
            not apply to it.
        extensions: Chainer's or your own, with triggers of their own.
        out: Directory for the files that they write.
        work: Where the trainer is kept every so often, and goes on from; None: nowhere.

    Raises:
        Diverged: A loss or a parameter is not finite.
    """
    session = make_session(
        EmbeddingMatrix.of(matrix), settings, machine or Machine(),
        weights=weights, optimizer=optimizer, out=out,
    )  # fmt: skip
    for extension in extensions:
        session.trainer.extend(extension)
    if work is not None:
        checkpoint = Checkpoint(work, settings.iterations)
        checkpoint.restore(session.trainer)
        session.trainer.extend(checkpoint)
    return session.run()


def make_session(
    matrix: EmbeddingMatrix,
    settings: TrainingSettings,
    machine: Machine,
    *,
    weights: np.ndarray | None = None,
    optimizer: chainer.GradientMethod | None = None,
    out: str | os.PathLike = ".",
    processes: Processes = ALONE,
) -> TrainingSession:
    """Builds a trainer that trains an autoencoder on a matrix and validates it.

    Args:
        matrix: The embedding matrix.
        settings: The run's settings.
        machine: The machine to train on.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        optimizer: In place of the one that the settings name, whose learning rate and clipping do
            not apply to it. It is set up on the chain, unless it has a target already.
        out: Directory for the files that extensions write.
        processes: Those that train together, with a session each.

    Returns:
        The chain, freshly initialized and on its device, and its trainer.

    Raises:
        InputError: The autoencoder does not fit into the machine's memory.
    """
    check_memory(matrix.dim, settings.num_codebooks, settings.num_codewords)
    machine.use()
    chain = autoencoder_for(machine, settings.full_precision)(
        matrix.dim,
        settings.num_codebooks,
        settings.num_codewords,
        normalization=matrix.normalization if settings.normalize else None,
        init=settings.init,
        seed=settings.seed,
        tau=settings.tau_start,
    )
    chain.to_device(machine.device)
    updater = updater_for(machine, processes)(
        matrix, chain, settings, machine, weights, optimizer, processes
    )
    trainer = chainer.training.Trainer(updater, StopTrigger(settings.iterations), str(out))
    often = ReportTrigger(settings.iterations, iterations=REPORT_INTERVAL, epochs=True)
    validation = Validation(matrix, chain, settings.tau, machine, weights, processes)
    trainer.extend(validation, trigger=often)
    divergence = Divergence(chain, settings, has_own_rate=optimizer is not None)
    trainer.extend(divergence, trigger=UpdateTrigger())
    best = BestParameters(chain)
    trainer.extend(best, trigger=often)
    return TrainingSession(chain, trainer, best, validation)


def updater_for(machine: Machine, processes: Processes = ALONE) -> type[AutoencoderUpdater]:
    """Returns the updater for the autoencoders that ``autoencoder_for`` makes for a machine.

    Args:
        machine: The machine.
        processes: Those that train together.
    """
    if machine.runtime is None:
        from nncompress.training.fused_updater import FusedUpdater

        return FusedUpdater
    if not trains_by_kernels(machine):
        return AutoencoderUpdater
    from nncompress.training.gpu_updater import GpuUpdater, SharingGpuUpdater

    return GpuUpdater if processes.size == 1 else SharingGpuUpdater
