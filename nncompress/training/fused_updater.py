"""Many optimizer steps without leaving the CPU's kernels."""

from collections.abc import Sequence

import numpy as np

from nncompress.autoencoder.fused import Descent
from nncompress.training.many_steps_updater import ManyStepsUpdater


class FusedUpdater(ManyStepsUpdater):
    """Updates a ``FusedAutoencoder`` inside its kernels.

    Args:
        arguments: The arguments of ``AutoencoderUpdater``; the chain is a ``FusedAutoencoder``.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments, most_steps=50, most_operations=4e9)
        optimizer = self.get_optimizer("main")
        self._descent = Descent.of(self.chain, optimizer, self.settings.max_grad_norm)

    def make_steps(self, first: int, batches: Sequence[np.ndarray]) -> None:
        """Makes steps, and reports means over them."""
        steps = range(first, first + len(batches))
        rates = np.array([self.settings.learning_rate_at(step) for step in steps])
        taus = np.array([self.settings.tau_at(step) for step in steps])
        rows = np.stack(batches)
        source, places = self.matrix.source_of(rows)
        weights = None if self.weights is None else self.weights[rows]
        means = self.chain.train_steps(self._descent, source, places, weights, first, rates, taus)
        self.chain.report_batch(means, weights is not None, len(steps))
