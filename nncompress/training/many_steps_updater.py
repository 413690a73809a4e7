"""Many optimizer steps for one update."""

from collections.abc import Sequence

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.training.stops import Stops, stops_of
from nncompress.training.triggers import REPORT_INTERVAL
from nncompress.training.updater import AutoencoderUpdater


class ManyStepsUpdater(AutoencoderUpdater):
    """Makes several steps an update.

    An update ends with each epoch, with the last iteration, wherever the iteration is a multiple
    of ``stride``, which divides ``REPORT_INTERVAL``, and wherever one of the trainer's extensions
    may act, so that triggers fire when Chainer's do.

    Args:
        arguments: The arguments of ``AutoencoderUpdater``.
        most_steps: The most steps of an update.
        most_operations: The most floating-point operations of an update that is more than one
            step: updates are kept short, for extensions run between them.

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
        self._trainer: chainer.training.Trainer | None = None
        self._stops = Stops()

    def connect_trainer(self, trainer: chainer.training.Trainer) -> None:
        """Takes note of the trainer, whose extensions are looked at when training begins."""
        self._trainer = trainer

    def is_awaited(self, iteration: int) -> bool:
        """Tells whether something may look at the chain or at what is reported.

        Args:
            iteration: The iteration whose batch the iterator has just handed out.
        """
        iterator = self.get_iterator("main")
        return (
            iterator.is_new_epoch
            or iteration % REPORT_INTERVAL == 0
            or iteration == self.settings.iterations
            or self._stops.include(iteration, iterator)
        )

    def update(self) -> None:
        """Makes steps up to the next moment at which something else may have to happen."""
        if self._trainer is not None:
            self._stops, self._trainer = stops_of(self._trainer), None
        settings, iterator = self.settings, self.get_iterator("main")
        first = self.iteration
        batches = []
        while True:
            batches.append(iterator.next())
            done = first + len(batches)
            if done % self.stride == 0 or self.is_awaited(done):
                break
        self.make_steps(first, batches)
        optimizer = self.get_optimizer("main")
        self.show_rate(settings.learning_rate_at(done - 1))
        self.chain.tau = settings.tau_at(done - 1)
        self.chain.noise_position = done
        optimizer.t = done
        for parameter in self.chain.params():
            parameter.update_rule.t = done
        self.iteration = done

    def wait(self) -> None:
        """Waits until all steps have been made."""

    def make_steps(self, first: int, batches: Sequence[np.ndarray]) -> None:
        """Makes steps, and reports means over them.

        Args:
            first: Number of the first step.
            batches: The iterator's batch for each.
        """
        raise NotImplementedError
