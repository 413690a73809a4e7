"""Training an autoencoder: chain, updater and validation in a Trainer."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.forms import autoencoder_for, trains_by_kernels
from nncompress.chainer_support.compatibility import chainer
from nncompress.formats.work import WorkDirectory
from nncompress.machine import Machine
from nncompress.progress import phase
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
    """The result of training.

    Attributes:
        chain: The autoencoder with its best parameters, on the machine's device.
        loss: Its validation loss in the units of the matrix, weighted if rows have weights.
        iteration: The iteration that the parameters are from.
        validation: The trainer's validation.
    """

    chain: CompositionalAutoencoder
    loss: float
    iteration: int
    validation: Validation

    def warn_if_poor(self) -> None:
        """Warns if the mean row is nearer to the validation rows than their reconstructions."""
        self.validation.warn_if_poor()


@dataclass(frozen=True)
class TrainingSession:
    """The parts of a training run.

    Attributes:
        chain: The autoencoder.
        trainer: Trains the chain; it includes validation, and accepts further extensions.
        best: The best parameters so far.
        validation: The trainer's validation.
    """

    chain: CompositionalAutoencoder
    trainer: chainer.training.Trainer
    best: BestParameters
    validation: Validation

    def run(self) -> Learned:
        """Trains to the end, and returns the best parameters found.

        Raises:
            Diverged: A loss or a parameter is not finite.
        """
        updater = self.trainer.updater
        last, _ = self.trainer.stop_trigger.get_training_length()
        with phase("training", last, "step", updater.iteration) as counter:

            def count(trainer: chainer.training.Trainer) -> None:
                counter.update(updater.iteration - counter.n)

            self.trainer.extend(count, name="progress", trigger=UpdateTrigger())
            self.trainer.run(show_loop_exception_msg=False)  # the caller prints it
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

    Apart from the work directory, only the given extensions write files.

    Args:
        matrix: The embedding matrix, ``(N, D)``: an array, the path of a ``.npy`` file, or an
            ``EmbeddingMatrix``.
        settings: Every number that training depends on; ``TrainingOptions.resolve`` makes them.
        machine: The machine to train on; None: the CPU, with all usable cores.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        optimizer: An optimizer to use instead of the one that the settings name; their learning
            rate and clipping do not apply to it.
        extensions: Extensions of Chainer's or your own, with their own triggers.
        out: Directory for the files that they write.
        work: The directory in which the trainer is saved at intervals, and from which it
            continues; None: it is not saved.

    Returns:
        The chain with the parameters of the best validation loss.

    Raises:
        Diverged: A loss or a parameter is not finite.

    Examples:
        >>> from nncompress import TrainingOptions
        >>> rows = np.load("data/glove.6B.50d.npy")[:500]
        >>> settings = TrainingOptions(epochs=2).resolve(len(rows), 8, 16)
        >>> learned = learn(rows, settings)
        >>> learned.chain.codebook.shape == (8 * 16, rows.shape[1])
        True
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
        optimizer: An optimizer to use instead of the one that the settings name; their learning
            rate and clipping do not apply to it. It is set up on the chain unless it already has a
            target.
        out: Directory for the files that extensions write.
        processes: The processes that train together, with a session each.

    Returns:
        The chain, freshly initialized and on its device, and its trainer.

    Raises:
        InputError: The autoencoder does not fit in the machine's memory.
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
        processes: The processes that train together.
    """
    if machine.runtime is None:
        from nncompress.training.fused_updater import FusedUpdater

        return FusedUpdater
    if not trains_by_kernels(machine):
        return AutoencoderUpdater
    from nncompress.training.gpu_updater import GpuUpdater, SharingGpuUpdater

    return GpuUpdater if processes.size == 1 else SharingGpuUpdater
