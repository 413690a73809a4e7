"""Many optimizer steps for one update."""

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
from nncompress.training.triggers import REPORT_INTERVAL
from nncompress.training.updater import AutoencoderUpdater


class ManyStepsUpdater(AutoencoderUpdater):
    """Makes several steps an update, in kernels that know the optimizer.

    An update ends with each epoch, with the last iteration, and wherever the iteration is a
    multiple of ``stride``, which divides ``REPORT_INTERVAL``: triggers see every iteration that
    they wait for. Before each update the optimizer is looked at. What the kernels do not know of
    (see ``descent.reason_against_kernels``) Chainer does itself, a step an update, and a warning
    says why.

    Args:
        arguments: Arguments of ``AutoencoderUpdater``.

        most_steps: The most steps of an update, and
        most_operations: the most floating-point operations, if that is more than one step: updates
            are kept short, for extensions run between them.

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

    def update(self) -> None:
        """Makes steps up to the next moment at which something else may have to happen."""
        settings, iterator = self.settings, self.get_iterator("main")
        optimizer = self.get_optimizer("main")
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
            if iterator.is_new_epoch or done % self.stride == 0 or done == settings.iterations:
                break
        self.schedule.look()
        self.make_steps(first, batches, descent_of(optimizer))
        self.schedule.show(done - 1)
        optimizer.t += len(batches)
        for parameter in self.chain.params():
            parameter.update_rule.t += len(batches)
        self.iteration = done

    def wait(self) -> None:
        """Waits until all steps have been made."""

    def make_steps(self, first: int, batches: Sequence[np.ndarray], descent: Descent) -> None:
        """Makes steps, and reports means over them.

        Args:
            first: Number of the first step.
            batches: The iterator's batch of each.
            descent: The optimizer.
        """
        raise NotImplementedError

    def numbers(self, steps: range, descent: Descent) -> tuple[np.ndarray, np.ndarray]:
        """Returns learning rates, with Adam's bias corrections, and temperatures of steps.

        Args:
            steps: Numbers of the steps, at or after the iteration.
            descent: The optimizer.
        """
        rates, taus = self.schedule.at(steps)
        return descent.corrected(rates, self.updates_before(steps.start)), taus

    def updates_before(self, step: int) -> int:
        """Returns how many updates the parameters will have had before a step."""
        return self.chain.l1.W.update_rule.t + step - self.iteration

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the state, with Adam's moments even before the first step."""
        optimizer = self.get_optimizer("main")
        if reason_against_kernels(optimizer, self.chain) is None and descent_of(optimizer).is_adam:
            adam_moments(self.chain.kernel_parameters())
        super().serialize(serializer)

    def _say(self, reason: str) -> None:
        """Warns, once for each reason."""
        if reason not in self._reasons:
            self._reasons.add(reason)
            warnings.warn(
                f"{reason}: Chainer makes the steps itself, which takes longer than the kernels",
                stacklevel=3,
            )
