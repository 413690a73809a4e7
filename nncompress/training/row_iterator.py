"""An iterator over row indices, in a new random order each epoch."""

import numpy as np

from nncompress.chainer_compat import chainer
from nncompress.training.row_order import RowOrder


class RowIterator(chainer.dataset.Iterator):
    """Hands out arrays of row indices, without end.

    Every batch is full: one that crosses the end of an epoch goes on with the first rows of the
    next, as Chainer's ``SerialIterator`` does.

    Args:
        order: The order of the rows.
        batchsize: Rows a batch, at most N.
    """

    def __init__(self, order: RowOrder, batchsize: int) -> None:
        self.order = order
        self.batchsize = batchsize
        self.epoch = 0
        self.current_position = 0
        self.is_new_epoch = False
        self._previous_epoch_detail = -1.0
        self._seek()

    def __next__(self) -> np.ndarray:
        """Returns the next indices, int64 ``(batchsize,)``."""
        self._previous_epoch_detail = self.epoch_detail
        self.is_new_epoch = self.current_position + self.batchsize >= self.order.num_rows
        if self.is_new_epoch:
            rest = self._take(self.order.num_rows - self.current_position)
            self.epoch += 1
            self.current_position = 0
            self._seek()
            rows = np.concatenate([rest, self._take(self.batchsize - len(rest))])
        else:
            rows = self._take(self.batchsize)
        return rows

    next = __next__

    @property
    def epoch_detail(self) -> float:
        """Passes over the rows so far, with the fraction of the current one."""
        return self.epoch + self.current_position / self.order.num_rows

    @property
    def previous_epoch_detail(self) -> float | None:
        """``epoch_detail`` before the last batch; None before the first."""
        return None if self._previous_epoch_detail < 0 else self._previous_epoch_detail

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the position; the order follows from it."""
        self.epoch = serializer("epoch", self.epoch)
        self.current_position = serializer("current_position", self.current_position)
        self.is_new_epoch = serializer("is_new_epoch", self.is_new_epoch)
        self._previous_epoch_detail = serializer(
            "previous_epoch_detail", self._previous_epoch_detail
        )
        self._seek()

    def _seek(self) -> None:
        self._windows = self.order.windows(self.epoch, self.current_position)
        self._window = np.empty(0, dtype=np.int64)

    def _take(self, count: int) -> np.ndarray:
        """Takes the next rows of the current epoch, which has as many."""
        parts = []
        self.current_position += count
        while count > len(self._window):
            parts.append(self._window)
            count -= len(self._window)
            self._window = next(self._windows)
        parts.append(self._window[:count])
        self._window = self._window[count:]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]
