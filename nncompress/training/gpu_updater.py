"""Many optimizer steps on a GPU, launched without waiting for their results."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from nncompress.autoencoder.descent import Descent
from nncompress.autoencoder.gpu import GpuAutoencoder, StepMaker
from nncompress.autoencoder.kernel_chain import BatchMeans
from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.parameters import FlatArrays
from nncompress.gpu.rows import StreamedRows, fits, refuse_large_numbers, resident_rows
from nncompress.gpu.step import RowSource
from nncompress.machine import Machine
from nncompress.random.shuffle import batch_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.training.many_steps_updater import ManyStepsUpdater
from nncompress.training.processes import ALONE, Processes
from nncompress.training.row_iterator import EpochCounter
from nncompress.training.settings import TrainingSettings
from nncompress.training.updater import AutoencoderUpdater

_MOST_STEPS, _MOST_OPERATIONS = 200, 1e12
# The most bytes that the rows of an update take, if rows are sent.
_STREAMED_BYTES = 64 << 20


class _GpuOrder:
    """An updater's access to the order of rows, which a GPU computes for itself."""

    def make_iterator(self) -> chainer.dataset.Iterator:
        """Returns a counter of batches, as the number of a batch determines its rows."""
        settings = self.settings
        return EpochCounter(len(self.matrix), settings.batch_size, settings.short_batches)

    def next_rows(self) -> np.ndarray:
        """Returns the indices of the next batch's rows, int64, the same as the GPU would use."""
        settings = self.settings
        self.get_iterator("main").next()
        size, seed = settings.batch_size, settings.seed
        rows = len(self.matrix)
        return batch_rows(self.iteration, 1, size, rows, seed, settings.short_batches)


class SharingGpuUpdater(_GpuOrder, AutoencoderUpdater):
    """Updates a ``GpuAutoencoder`` by one step an update, when several processes train together.

    Kernels compute the gradients of the process's part of a batch, whose rows are sent for each
    step; Chainer makes the step once ChainerMN's communicator has averaged the gradients.
    """


class GpuUpdater(_GpuOrder, ManyStepsUpdater):
    """Updates a ``GpuAutoencoder`` by recorded launches.

    A matrix that fits stays on the GPU. Rows of a larger one are sent while earlier steps run.
    Either way they are used in the random order of ``random.shuffle``. Loss and maxp are added up
    on the GPU and reported, as means since the last report, wherever they may be read: see
    ``is_awaited``.

    Args:
        matrix: The embedding matrix.
        chain: The autoencoder, already on its device.
        settings: The run's settings.
        machine: The chain's GPU.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        optimizer: An optimizer to use instead of the one that the settings name; their learning
            rate and clipping do not apply to it.
        processes: Only this process.

    Raises:
        InputError: The matrix is to be kept in float16, but has numbers that are too large for it.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        chain: GpuAutoencoder,
        settings: TrainingSettings,
        machine: Machine,
        weights: np.ndarray | None = None,
        optimizer: chainer.GradientMethod | None = None,
        processes: Processes = ALONE,
    ) -> None:
        if settings.matrix_dtype == "float16":
            refuse_large_numbers(matrix, chain.normalization())
        is_resident = fits(matrix, settings.matrix_dtype, chain.runtime)
        most = _MOST_STEPS
        if not is_resident:
            batch_bytes = 4 * settings.batch_size * (matrix.dim + 1)
            most = min(most, max(1, _STREAMED_BYTES // batch_bytes))
        super().__init__(
            matrix, chain, settings, machine, weights, optimizer, processes,
            most_steps=most, most_operations=_MOST_OPERATIONS,
        )  # fmt: skip
        self._streamed: StreamedRows | None = None
        to_gpu = matrix, weights, settings.matrix_dtype, chain.runtime, chain.normalized
        if is_resident:
            self._source: RowSource | None = resident_rows(*to_gpu)
        else:
            self._streamed = StreamedRows(
                *to_gpu, settings.batch_size, self.stride, settings.seed, settings.short_batches
            )
            self._source = self._streamed.source
        self._steps: StepMaker | None = None
        self._made_for: tuple[object, ...] | None = None
        self._planned_for: tuple[object, ...] | None = None
        self._means = chain.runtime.xp.zeros(3, dtype=np.float64)
        self._unreported = 0

    def make_steps(self, first: int, batches: Sequence[None], descent: Descent) -> None:
        """Makes steps, and reports the means if they are due."""
        done = first + len(batches)
        for start, count, rows in self._parts(first, done):
            if self._streamed is not None:
                self._streamed.fill(start, count)
            self._make_equal_steps(start, count, rows, descent)
        self._unreported += len(batches)
        if self.is_awaited(done):
            means = (self._means / self._unreported).tolist()
            self.chain.report_batch(BatchMeans(*means), self.weights is not None, self._unreported)
            self._means[...] = 0.0
            self._unreported = 0

    def _make_equal_steps(self, first: int, count: int, rows: int, descent: Descent) -> None:
        """Makes steps on batches of equally many rows."""
        steps = self._steps_for(descent)
        numbers = partial(self.numbers, descent=descent)
        if rows < self.settings.batch_size:
            steps.make_short(first, rows, numbers)
            return
        state = self.schedule.state
        planned_for = state, self.updates_before(0)
        if planned_for != self._planned_for:
            steps.forget_plan()
            self._planned_for = planned_for
        # Code that has set a number may set it again soon.
        ahead = {} if state == (None, None) else {"ahead": count}
        steps.make(first, count, numbers, **ahead)

    def _parts(self, first: int, done: int) -> Iterator[tuple[int, int, int]]:
        """Divides steps into parts with batches of equally many rows.

        Yields:
            The number of the first step, the number of steps, and the rows in a batch.
        """
        settings = self.settings
        rest = len(self.matrix) % settings.batch_size
        if not settings.short_batches or not rest:
            yield first, done - first, settings.batch_size
            return
        epoch = len(self.matrix) // settings.batch_size + 1
        while first < done:
            full = min(done, first // epoch * epoch + epoch - 1) - first
            if full:
                yield first, full, settings.batch_size
            else:
                yield first, 1, rest
            first += full or 1

    def _steps_for(self, descent: Descent) -> StepMaker:
        """Returns the maker of steps, a new one if the optimizer or the arrays have changed."""
        chain = self.chain
        arrays: tuple[FlatArrays, ...] = (chain.flat_parameters(),)
        if descent.is_adam:
            arrays += chain.flat_moments()
        made_for = descent, *arrays
        if self._steps is None or made_for != self._made_for:
            settings = self.settings
            self._steps = chain.trainer_for(
                descent, self._source, settings.batch_size, settings.short_batches, self._means
            )
            self._made_for, self._planned_for = made_for, None
        return self._steps

    def wait(self) -> None:
        """Waits until all steps have been made."""
        self._means.tolist()

    def finalize(self) -> None:
        """Frees the matrix on the GPU once training is over."""
        super().finalize()
        self._streamed = self._source = self._steps = None

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the state, including means that have not been reported yet."""
        super().serialize(serializer)
        with suppress(KeyError):  # a CPU's snapshot has nothing left to report
            serializer("means", self._means)
            self._unreported = int(serializer("unreported", self._unreported))
