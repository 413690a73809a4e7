"""Many optimizer steps for one update."""

from collections.abc import Sequence

import numpy as np

from nncompress.training.triggers import REPORT_INTERVAL
from nncompress.training.updater import AutoencoderUpdater


class ManyStepsUpdater(AutoencoderUpdater):
    """Makes several steps an update.

    An update ends with each epoch, with the last iteration, and wherever the iteration is a
    multiple of ``stride``, which divides ``REPORT_INTERVAL``: triggers see every iteration that
    they wait for.

    Args:
        arguments: As for ``AutoencoderUpdater``.

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

    def update(self) -> None:
        """Makes steps up to the next moment at which something else may have to happen."""
        settings, iterator = self.settings, self.get_iterator("main")
        first = self.iteration
        batches = []
        while True:
            batches.append(iterator.next())
            done = first + len(batches)
            if iterator.is_new_epoch or done % self.stride == 0 or done == settings.iterations:
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
            batches: What the iterator gave for each.
        """
        raise NotImplementedError
