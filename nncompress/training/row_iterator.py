"""An iterator over row indices, in a new random order each epoch."""

import numpy as np

from nncompress.autoencoder.noise import Stream, generator
from nncompress.chainer_compat import chainer


class RowIterator(chainer.dataset.Iterator):
    """Hands out arrays of row indices, without end.

    Every batch is full: one that crosses the end of an epoch goes on with the first rows of the
    next, as Chainer's ``SerialIterator`` does. The order of an epoch depends on the seed and the
    epoch's number alone.

    Args:
        num_rows: N.
        batchsize: Rows a batch, at most N.
        seed: Seed of the orders.
    """

    def __init__(self, num_rows: int, batchsize: int, seed: int) -> None:
        self.num_rows = num_rows
        self.batchsize = batchsize
        self.seed = seed
        self.epoch = 0
        self.current_position = 0
        self.is_new_epoch = False
        self._previous_epoch_detail = -1.0
        self._order = self._order_of(0)

    def __next__(self) -> np.ndarray:
        """Returns the next indices, int64 ``(batchsize,)``."""
        self._previous_epoch_detail = self.epoch_detail
        start = self.current_position
        rows = self._order[start : start + self.batchsize]
        self.is_new_epoch = start + self.batchsize >= self.num_rows
        if self.is_new_epoch:
            self.epoch += 1
            self._order = self._order_of(self.epoch)
            self.current_position = self.batchsize - len(rows)
            rows = np.concatenate([rows, self._order[: self.current_position]])
        else:
            self.current_position = start + self.batchsize
        return rows

    next = __next__

    @property
    def epoch_detail(self) -> float:
        """Passes over the rows so far, with the fraction of the current one."""
        return self.epoch + self.current_position / self.num_rows

    @property
    def previous_epoch_detail(self) -> float | None:
        """``epoch_detail`` before the last batch; None before the first."""
        return None if self._previous_epoch_detail < 0 else self._previous_epoch_detail

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the position; the order follows from the epoch."""
        self.epoch = serializer("epoch", self.epoch)
        self.current_position = serializer("current_position", self.current_position)
        self.is_new_epoch = serializer("is_new_epoch", self.is_new_epoch)
        self._previous_epoch_detail = serializer(
            "previous_epoch_detail", self._previous_epoch_detail
        )
        self._order = self._order_of(self.epoch)

    def _order_of(self, epoch: int) -> np.ndarray:
        return generator(self.seed, Stream.ROW_ORDER, epoch).permutation(self.num_rows)
