"""Many optimizer steps without leaving the kernels."""

import numpy as np

from nncompress.autoencoder.fused import Descent
from nncompress.training.updater import AutoencoderUpdater

# Extensions run between updates. Every multiple of this is the end of an update, and an update is
# kept this short, so that they run often enough.
MOST_STEPS = 50
_UPDATE_OPERATIONS = 4e9


class FusedUpdater(AutoencoderUpdater):
    """Updates a ``FusedAutoencoder`` inside its kernels, several steps an update.

    An update ends with each epoch, with the last iteration, and wherever the iteration is a
    multiple of ``stride``, which divides 1,000: triggers see every iteration that they wait for.

    Args:
        arguments: As for ``AutoencoderUpdater``; the chain is a ``FusedAutoencoder``.

    Attributes:
        stride: The most steps of an update.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        optimizer = self.get_optimizer("main")
        chain = optimizer.target
        self._descent = Descent.of(chain, optimizer, self.settings.max_grad_norm)
        operations = 6 * self.settings.batchsize * chain.count_params()
        self.stride = next(
            steps for steps in (MOST_STEPS, 20, 10, 5, 2, 1)
            if steps == 1 or steps * operations <= _UPDATE_OPERATIONS
        )  # fmt: skip

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
        steps = range(first, done)
        rates = np.array([settings.learning_rate_at(step) for step in steps])
        taus = np.array([settings.tau_at(step) for step in steps])
        batches = np.stack(batches)
        source, rows = self.matrix.source_of(batches)
        weights = None if self.weights is None else self.weights[batches]

        optimizer = self.get_optimizer("main")
        chain = optimizer.target
        means = chain.train_steps(self._descent, source, rows, weights, first, rates, taus)
        chain.report_batch(means, weights is not None, len(steps))
        self.show_rate(rates[-1])
        chain.tau = taus[-1]
        chain.noise_position = done
        optimizer.t = done
        for parameter in chain.params():
            parameter.update_rule.t = done
        self.iteration = done
