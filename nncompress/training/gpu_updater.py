"""Many optimizer steps on a GPU, without waiting for them."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from nncompress.autoencoder.gpu import GpuAutoencoder, StepMaker
from nncompress.autoencoder.kernel_chain import BatchMeans
from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.rows import StreamedTable, fits, refuse_large_numbers, resident_table
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.many_steps_updater import ManyStepsUpdater
from nncompress.training.row_iterator import EpochCounter
from nncompress.training.settings import TrainingSettings

_MOST_STEPS, _MOST_OPERATIONS = 200, 1e12
# The most that the rows of an update take, where rows are sent.
_STREAMED_BYTES = 64 << 20


class GpuUpdater(ManyStepsUpdater):
    """Updates a ``GpuAutoencoder`` by recorded launches.

    A matrix that fits stays on the GPU. Rows of a larger one are sent while the steps before them
    are being made. Either way they are taken in the random order of ``gpu.shuffle``. Loss and maxp
    are added up on the GPU; they are reported, as means since the last report, wherever something
    may look at them: see ``is_awaited``.

    Args:
        matrix: The embedding matrix.
        chain: The autoencoder, already on its device.
        settings: The run's settings.
        machine: The GPU.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        optimizer: In place of the one that the settings name.

    Raises:
        InputError: The matrix has numbers that float16 cannot hold, and is to be of that type.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        chain: GpuAutoencoder,
        settings: TrainingSettings,
        machine: Machine,
        weights: np.ndarray | None = None,
        optimizer: chainer.GradientMethod | None = None,
    ) -> None:
        if settings.matrix_dtype == "float16":
            refuse_large_numbers(matrix, chain.normalization())
        is_resident = fits(matrix, settings.matrix_dtype, chain.runtime)
        most = _MOST_STEPS
        if not is_resident:
            batch_bytes = 4 * settings.batch_size * (matrix.dim + 1)
            most = min(most, max(1, _STREAMED_BYTES // batch_bytes))
        super().__init__(
            matrix, chain, settings, machine, weights, optimizer,
            most_steps=most, most_operations=_MOST_OPERATIONS,
        )  # fmt: skip
        self._streamed: StreamedTable | None = None
        to_gpu = matrix, weights, settings.matrix_dtype, chain.runtime, chain.normalized
        if is_resident:
            table = resident_table(*to_gpu)
        else:
            self._streamed = StreamedTable(
                *to_gpu, settings.batch_size, self.stride, settings.seed
            )
            table = self._streamed.table
        self._steps: StepMaker | None = chain.trainer_for(
            self.get_optimizer("main"),
            settings.max_grad_norm,
            table,
            settings.batch_size,
            lambda step: (settings.learning_rate_at(step), settings.tau_at(step)),
        )
        self._unreported = 0

    def make_iterator(self) -> chainer.dataset.Iterator:
        """Makes the counter of batches: their rows follow from their numbers."""
        return EpochCounter(len(self.matrix), self.settings.batch_size)

    def make_steps(self, first: int, batches: Sequence[None]) -> None:
        """Makes steps, and reports means if it is time."""
        if self._streamed is not None:
            self._streamed.fill(first, len(batches))
        self._steps.make(first, len(batches))
        self._unreported += len(batches)
        done = first + len(batches)
        if self.is_awaited(done):
            means = (self._steps.means / self._unreported).tolist()
            self.chain.report_batch(BatchMeans(*means), self.weights is not None, self._unreported)
            self._steps.means[...] = 0.0
            self._unreported = 0

    def wait(self) -> None:
        """Waits until all steps have been made."""
        self._steps.means.tolist()

    def finalize(self) -> None:
        """Lets go of the matrix on the GPU, when training is over."""
        super().finalize()
        self._streamed = self._steps = None

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the state, with what is not reported yet."""
        super().serialize(serializer)
        with suppress(KeyError):  # a snapshot of a CPU's has reported all
            serializer("means", self._steps.means)
            self._unreported = int(serializer("unreported", self._unreported))
