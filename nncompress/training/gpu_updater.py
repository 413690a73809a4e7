"""Many optimizer steps on a GPU, without waiting for them."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from nncompress.autoencoder.kernel_chain import BatchMeans
from nncompress.chainer_compat import chainer
from nncompress.gpu.rows import StreamedTable, fits, resident_table
from nncompress.training.many_steps_updater import ManyStepsUpdater
from nncompress.training.row_iterator import EpochCounter
from nncompress.training.triggers import REPORT_INTERVAL

# The most that the rows of an update take, where rows are sent.
_STREAMED_BYTES = 64 << 20


class GpuUpdater(ManyStepsUpdater):
    """Updates a ``GpuAutoencoder`` by recorded launches.

    A matrix that fits stays on the GPU, which takes its rows in a random order of its own. Rows of
    a larger one are sent while the steps before them are being made, in the order that a CPU would
    take them in. Loss and maxp are added up on the GPU; they are reported, as means since the last
    report, after each epoch, every ``REPORT_INTERVAL`` iterations, and at the end.

    Args:
        arguments: As for ``AutoencoderUpdater``; the chain is a ``GpuAutoencoder``.

    Raises:
        InputError: The matrix has numbers that float16 cannot hold.
    """

    most_steps = 200
    most_operations = 1e12

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        settings, chain = self.settings, self.chain
        self._streamed = None
        if self._is_resident:
            table = resident_table(
                self.matrix, self.weights, settings.matrix_dtype, chain.runtime, chain.normalized
            )
        else:
            self._streamed = StreamedTable(
                self.matrix, self.weights, chain.runtime, chain.normalized, settings.batchsize,
                self.stride,
            )  # fmt: skip
            table = self._streamed.table
        self._steps = chain.trainer_for(
            self.get_optimizer("main"),
            settings.max_grad_norm,
            table,
            settings.batchsize,
            lambda step: (settings.learning_rate_at(step), settings.tau_at(step)),
        )
        self._unreported = 0

    def make_iterator(self) -> chainer.dataset.Iterator:
        """Returns what counts batches, or hands out the indices of their rows."""
        matrix, settings = self.matrix, self.settings
        self._is_resident = fits(matrix, settings.matrix_dtype, self.chain.runtime)
        if self._is_resident:
            return EpochCounter(len(matrix), settings.batchsize)
        batch_bytes = 4 * settings.batchsize * (matrix.dim + 1)
        self.most_steps = min(self.most_steps, max(1, _STREAMED_BYTES // batch_bytes))
        return super().make_iterator()

    def make_steps(self, first: int, batches: Sequence[np.ndarray | None]) -> None:
        """Makes steps, and reports means if it is time."""
        if self._streamed is not None:
            self._streamed.fill(first, np.stack(batches))
        self._steps.make(first, len(batches))
        self._unreported += len(batches)
        done = first + len(batches)
        if self.is_new_epoch or done % REPORT_INTERVAL == 0 or done == self.settings.iterations:
            means = (self._steps.means / self._unreported).tolist()
            self.chain.report_batch(BatchMeans(*means), self.weights is not None, self._unreported)
            self._steps.means[...] = 0.0
            self._unreported = 0

    def wait(self) -> None:
        """Waits until all steps have been made."""
        self._steps.means.tolist()

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the state, with what is not reported yet."""
        super().serialize(serializer)
        with suppress(KeyError):  # a snapshot of a CPU's has reported all
            serializer("means", self._steps.means)
            self._unreported = int(serializer("unreported", self._unreported))
