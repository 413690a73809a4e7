"""Batches of images whose order and distortions depend only on their position."""

from collections.abc import Callable

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.random.noise import Stream, generator
from nncompress.random.row_order import RowOrder
from nncompress.training.row_iterator import RowIterator

Distort = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Batches(RowIterator):
    """Yields arrays of images and labels without end, in a new random order each epoch.

    A run that resumes from a snapshot gets the same batches as without interruption; a snapshot
    only stores the position.

    Args:
        dataset: The images and their labels.
        batch_size: Images per batch.
        seed: Seed of order and distortions.
        distort: A function that distorts a batch's images, given a random generator for the
            batch; by default, images are not changed.

    Raises:
        InputError: There are fewer images than a batch needs.
    """

    def __init__(
        self,
        dataset: chainer.datasets.TupleDataset,
        batch_size: int,
        seed: int,
        distort: Distort | None = None,
    ) -> None:
        if not 1 <= batch_size <= len(dataset):
            raise InputError(
                f"the batch size is {batch_size}; wanted 1 to {len(dataset):,}, the number of "
                "images"
            )
        self._dataset, self._seed, self._distort = dataset, seed, distort
        images = dataset[:1][0][0]
        super().__init__(RowOrder(len(dataset), images.nbytes, seed), batch_size)

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the next images and labels."""
        number = (self.epoch * self.num_rows + self.current_position) // self.batch_size
        images, labels = self._dataset[super().__next__()]
        if self._distort is not None:
            images = self._distort(images, generator(self._seed, Stream.DISTORTIONS, number))
        return images, labels


@chainer.dataset.converter()
def to_device(
    batch: tuple[np.ndarray, ...], device: chainer.backend.Device
) -> tuple[np.ndarray, ...]:
    """Sends the arrays of a batch to a device: the converter of an updater."""
    return tuple(device.send(array) for array in batch)
