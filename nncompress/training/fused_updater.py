"""Many optimizer steps without leaving the CPU's kernels."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from nncompress.autoencoder.descent import Descent
from nncompress.autoencoder.fused import Share
from nncompress.autoencoder.kernel_chain import BatchMeans
from nncompress.training.many_steps_updater import ManyStepsUpdater


class FusedUpdater(ManyStepsUpdater):
    """Updates a ``FusedAutoencoder`` inside its kernels.

    Args:
        arguments: The arguments of ``AutoencoderUpdater``; the chain is a ``FusedAutoencoder``.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments, most_steps=50, most_operations=4e9)

    def make_steps(self, first: int, batches: Sequence[np.ndarray], descent: Descent) -> None:
        """Makes steps and reports the means over them."""
        means = []
        step = first
        for _, group in groupby(batches, len):  # one call for batches of the same size
            rows = np.stack(list(group))
            means.append((self._make_equal_steps(step, rows, descent), len(rows)))
            step += len(rows)
        mean = means[0][0]
        if len(means) > 1:
            counts = [count for _, count in means]
            mean = BatchMeans(*np.average([each for each, _ in means], axis=0, weights=counts))
        self.chain.report_batch(mean, self.weights is not None, len(batches))
        self.chain.show_gradients(descent)

    def _make_equal_steps(self, first: int, rows: np.ndarray, descent: Descent) -> BatchMeans:
        """Makes steps on rows ``(steps, batch_size)`` and returns the means over them."""
        share = None
        if self.processes.size > 1:
            own = self.processes.part(rows.shape[1])
            share = Share(own.start, rows.shape[1], self.processes.add_up)
            rows = np.ascontiguousarray(rows[:, own])
        source, places = self.matrix.source_of(rows)
        weights = None if self.weights is None else self.weights[rows]
        numbers = self.numbers(range(first, first + len(rows)), descent)
        return self.chain.train_steps(descent, source, places, weights, first, *numbers, share)
