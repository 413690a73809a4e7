"""One optimizer step: gathering rows, setting learning rate and temperature, descending."""

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.random.noise import Stream, gumbel_noise
from nncompress.random.row_order import RowOrder
from nncompress.sources import EmbeddingMatrix
from nncompress.training.processes import ALONE, Processes
from nncompress.training.row_iterator import RowIterator
from nncompress.training.schedule import Schedule
from nncompress.training.settings import TrainingSettings


class AutoencoderUpdater(chainer.training.updaters.StandardUpdater):
    """Updates an autoencoder through Chainer's graph, one step an update: the reference.

    Everything that a step depends on follows from the settings and the iteration's number, so a
    resumed run repeats an uninterrupted one bit for bit. If an extension or the user sets the
    learning rate or the chain's ``tau``, that value is used from then on, and a warning says so.

    Args:
        matrix: The embedding matrix.
        chain: The autoencoder, already on its device.
        settings: The run's settings.
        machine: The machine that the chain is on.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        optimizer: An optimizer to use instead of the one that the settings name; their learning
            rate and clipping do not apply to it. It is set up on the chain unless it already is.
        processes: The processes that train together. Each computes the gradients of its part of a
            batch; their sum is the batch's gradient, and all make the same step.

    Attributes:
        stride: The most steps of an update.

    Raises:
        InputError: The optimizer is set up on another link.
    """

    stride = 1

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        chain: CompositionalAutoencoder,
        settings: TrainingSettings,
        machine: Machine,
        weights: np.ndarray | None = None,
        optimizer: chainer.GradientMethod | None = None,
        processes: Processes = ALONE,
    ) -> None:
        is_own = optimizer is None
        if optimizer is None:
            optimizer = getattr(chainer.optimizers, settings.optimizer)(settings.learning_rate)
        if optimizer.target is None:
            optimizer.setup(chain)
        elif optimizer.target is not chain:
            raise InputError(
                f"the optimizer ({type(optimizer).__name__}) is already set up on another link; "
                "wanted one that is not set up yet"
            )
        if is_own and settings.max_grad_norm is not None:
            clipping = chainer.optimizer_hooks.GradientClipping(settings.max_grad_norm)
            optimizer.add_hook(clipping)
        self.chain = chain
        self.matrix = matrix
        self.settings = settings
        self.weights = weights
        self.processes = processes
        self.schedule = Schedule(settings, optimizer, chain, has_rates=is_own)
        # The device is not passed on, because the chain is already on it.
        super().__init__(self.make_iterator(), optimizer)
        self._device = machine.device

    def make_iterator(self) -> chainer.dataset.Iterator:
        """Creates the iterator over the indices of each batch's rows."""
        matrix, settings = self.matrix, self.settings
        order = RowOrder(len(matrix), matrix.row_bytes, settings.seed)
        return RowIterator(order, settings.batch_size, settings.short_batches)

    def next_rows(self) -> np.ndarray:
        """Returns the indices of the next batch's rows, int64."""
        return self.get_iterator("main").next()

    def wait(self) -> None:
        """Waits until all steps have been made."""

    def update_core(self) -> None:
        """Makes one step on the next batch."""
        optimizer, chain = self.get_optimizer("main"), self.chain
        batch = self.next_rows()
        self.schedule.look()
        self.schedule.show(self.iteration)
        if self.processes.size > 1:
            self._differentiate_together(batch)
        else:
            rows, weights = self._sent(batch)
            with chain.noise_pinned(Stream.TRAINING_NOISE, self.iteration):
                loss = chain(rows, weights=weights)
            chain.cleargrads()
            loss.backward(loss_scale=optimizer._loss_scale)
        optimizer.update()
        self.count_epoch()

    def _differentiate_together(self, batch: np.ndarray) -> None:
        """Sets the parameters' gradients for a batch, of which each process computes a part."""
        chain, processes = self.chain, self.processes
        own = processes.part(len(batch))
        share = (own.stop - own.start) / len(batch)
        observation: dict[str, object] = {}
        chain.cleargrads()
        if share:
            rows, weights = self._sent(batch[own])
            shape = len(rows), chain.num_codebooks, chain.num_codewords
            noise = gumbel_noise(
                *(chain.seed, Stream.TRAINING_NOISE, self.iteration),
                *(shape, rows.dtype, own.start),
            )
            with chainer.reporter.report_scope(observation):
                loss = chain(rows, noise=self._device.send(noise), weights=weights)
            # Gradients become means over the processes, but should be sums of parts.
            loss = loss * (processes.size * share)
            loss.backward(loss_scale=self.get_optimizer("main")._loss_scale)
        processes.mean_gradients(chain)
        mean = processes.mean_observation(observation, share)
        chainer.reporter.get_current_reporter().observation.update(mean)

    def _sent(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns rows and their weights, or None, on the chain's device."""
        send = self._device.send
        weights = None if self.weights is None else send(self.weights[batch])
        return send(self.matrix.take(batch)), weights

    def count_epoch(self) -> None:
        """Tells the optimizer that an epoch has ended, as Chainer's updater does."""
        if self.auto_new_epoch and self.is_new_epoch:
            self.get_optimizer("main").new_epoch(auto=True)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the state, including which schedules have ended."""
        super().serialize(serializer)
        self.schedule.serialize(serializer["schedule"])
