"""Iterators over batches of rows, in a new random order for each epoch."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.random.row_order import RowOrder


class EpochCounter(chainer.dataset.Iterator):
    """Counts batches and epochs, without end, and returns no rows.

    A batch that crosses the end of an epoch continues with the first rows of the next one, as with
    Chainer's ``SerialIterator``, so that all batches are full; or it ends there.

    Args:
        num_rows: N.
        batch_size: Rows in a batch, at most N.
        short_batches: Whether an epoch ends with a smaller batch of the remaining rows.
    """

    def __init__(self, num_rows: int, batch_size: int, short_batches: bool = False) -> None:
        self.num_rows = num_rows
        self.batch_size = batch_size
        self.short_batches = short_batches
        self.epoch = 0
        self.current_position = 0
        self.is_new_epoch = False
        self._previous_epoch_detail = -1.0

    def __next__(self) -> None:
        """Advances by one batch."""
        self._previous_epoch_detail = self.epoch_detail
        position = self.current_position + self.batch_size
        self.is_new_epoch = position >= self.num_rows
        self.epoch += self.is_new_epoch
        if self.short_batches and self.is_new_epoch:
            self.current_position = 0
        else:
            self.current_position = position - self.num_rows * self.is_new_epoch

    def next(self) -> np.ndarray | None:
        """Advances by one batch, and returns its rows."""
        return self.__next__()

    @property
    def epoch_detail(self) -> float:
        """The number of passes over the rows so far, with the fraction of the current one."""
        return self.epoch + self.current_position / self.num_rows

    @property
    def previous_epoch_detail(self) -> float | None:
        """``epoch_detail`` before the last batch; None before the first."""
        return None if self._previous_epoch_detail < 0 else self._previous_epoch_detail

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the position, which determines everything else."""
        self.epoch = serializer("epoch", self.epoch)
        self.current_position = serializer("current_position", self.current_position)
        self.is_new_epoch = serializer("is_new_epoch", self.is_new_epoch)
        self._previous_epoch_detail = serializer(
            "previous_epoch_detail", self._previous_epoch_detail
        )


class RowIterator(EpochCounter):
    """Returns arrays of row indices, batch by batch.

    Args:
        order: The order of the rows.
        batch_size: Rows in a batch, at most N.
        short_batches: Whether an epoch ends with a smaller batch of the remaining rows.
    """

    def __init__(self, order: RowOrder, batch_size: int, short_batches: bool = False) -> None:
        super().__init__(order.num_rows, batch_size, short_batches)
        self.order = order
        self._seek(0)

    def __next__(self) -> np.ndarray:
        """Returns the next indices, int64 ``(batch_size,)`` or fewer."""
        left = self.num_rows - self.current_position
        super().__next__()
        if not self.is_new_epoch:
            return self._take(self.batch_size)
        rest = self._take(left)
        self._seek(0)
        if self.short_batches:
            return rest
        return np.concatenate([rest, self._take(self.batch_size - left)])

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the position, which determines the order."""
        super().serialize(serializer)
        self._seek(self.current_position)

    def _seek(self, position: int) -> None:
        self._windows = self.order.windows(self.epoch, position)
        self._window = np.empty(0, dtype=np.int64)

    def _take(self, count: int) -> np.ndarray:
        """Takes the next rows of the current epoch, which must have enough."""
        parts = []
        while count > len(self._window):
            parts.append(self._window)
            count -= len(self._window)
            self._window = next(self._windows)
        parts.append(self._window[:count])
        self._window = self._window[count:]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]
