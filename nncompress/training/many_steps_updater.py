"""Several optimizer steps in one update."""

import warnings
from collections.abc import Sequence

import numpy as np

from nncompress.autoencoder.descent import (
    Descent,
    adam_moments,
    descent_of,
    reason_against_kernels,
)
from nncompress.chainer_support.compatibility import chainer
from nncompress.training.stops import Stops, stops_of
from nncompress.training.triggers import REPORT_INTERVAL
from nncompress.training.updater import AutoencoderUpdater


class ManyStepsUpdater(AutoencoderUpdater):
    """Makes several steps in an update, in kernels that implement the optimizer.

    An update ends with each epoch, with the last iteration, wherever the iteration is a multiple
    of ``stride``, which divides ``REPORT_INTERVAL``, and wherever one of the trainer's extensions
    may act, so that triggers fire at the same iterations as in Chainer. The optimizer is checked
    before each update. If the kernels do not support it (see ``descent.reason_against_kernels``),
    Chainer makes the steps itself, one for each update, and a warning says why.

    Args:
        arguments: The arguments of ``AutoencoderUpdater``.
        most_steps: The most steps of an update.
        most_operations: The most floating-point operations of an update of more than one step;
            updates are kept short because extensions run between them.

    Attributes:
        stride: The most steps of an update.
    """

    def __init__(self, *arguments: object, most_steps: int, most_operations: float) -> None:
        super().__init__(*arguments)
        operations = 6 * self.settings.batch_size * self.chain.count_params()
        most = min(most_steps, int(most_operations / operations))
        self.stride = max(
            steps for steps in range(1, max(1, most) + 1) if REPORT_INTERVAL % steps == 0
        )
        self._reasons: set[str] = set()
        self._trainer: chainer.training.Trainer | None = None
        self._stops = Stops()

    def connect_trainer(self, trainer: chainer.training.Trainer) -> None:
        """Remembers the trainer, whose extensions are examined when training begins."""
        self._trainer = trainer

    def is_awaited(self, iteration: int) -> bool:
        """Tells whether an extension or trigger may read the chain or the reports.

        Args:
            iteration: The iteration whose batch the iterator has just returned.
        """
        iterator = self.get_iterator("main")
        return (
            iterator.is_new_epoch
            or iteration % REPORT_INTERVAL == 0
            or iteration == self.settings.iterations
            or self._stops.include(iteration, iterator)
        )

    def update(self) -> None:
        """Makes steps up to the next iteration at which anything else may have to run."""
        if self._trainer is not None:
            self._stops = self.processes.all_stops(stops_of(self._trainer))
            self._trainer = None
        iterator, optimizer = self.get_iterator("main"), self.get_optimizer("main")
        reason = reason_against_kernels(optimizer, self.chain)
        if reason is not None:
            self._say(reason)
            super().update()
            return
        first = self.iteration
        batches = []
        while True:
            batches.append(iterator.next())
            done = first + len(batches)
            if done % self.stride == 0 or self.is_awaited(done):
                break
        self.schedule.look()
        self.make_steps(first, batches, descent_of(optimizer))
        self.schedule.show(done - 1)
        optimizer.t += len(batches)
        for parameter in self.chain.params():
            parameter.update_rule.t += len(batches)
        self.count_epoch()
        self.iteration = done

    def make_steps(self, first: int, batches: Sequence[np.ndarray], descent: Descent) -> None:
        """Makes steps and reports the means over them.

        Args:
            first: Number of the first step.
            batches: The iterator's batch for each step.
            descent: The optimizer.
        """
        raise NotImplementedError

    def numbers(self, steps: range, descent: Descent) -> tuple[np.ndarray, np.ndarray]:
        """Returns the learning rates, with Adam's bias corrections, and temperatures of steps.

        Args:
            steps: The numbers of the steps, from the current iteration on.
            descent: The optimizer.
        """
        rates, taus = self.schedule.at(steps)
        return descent.corrected(rates, self.updates_before(steps.start)), taus

    def updates_before(self, step: int) -> int:
        """Returns the number of updates that the parameters will have had before a step."""
        return self.chain.l1.W.update_rule.t + step - self.iteration

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the state, including Adam's moments even before the first step."""
        optimizer = self.get_optimizer("main")
        if reason_against_kernels(optimizer, self.chain) is None and descent_of(optimizer).is_adam:
            adam_moments(self.chain.kernel_parameters())
        super().serialize(serializer)

    def _say(self, reason: str) -> None:
        """Warns, once for each reason."""
        if reason not in self._reasons:
            self._reasons.add(reason)
            warnings.warn(
                f"{reason}, so Chainer makes the steps itself, which is slower than the kernels",
                stacklevel=3,
            )
