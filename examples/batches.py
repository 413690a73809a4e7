"""Batches of images whose order and distortions follow from their place, and keep no state."""

from collections.abc import Callable

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.random.noise import Stream, generator
from nncompress.random.row_order import RowOrder
from nncompress.training.row_iterator import RowIterator

Distort = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Batches(RowIterator):
    """Hands out arrays of images and labels, in a new random order each epoch, without end.

    A run that goes on from a snapshot has the batches that it would have had: all that a snapshot
    keeps is the place.

    Args:
        dataset: The images and their labels.
        batch_size: Images a batch.
        seed: Seed of order and distortions.
        distort: Returns what is trained on for a batch's images, given random numbers of the
            batch's own; by default the images are taken as they are.

    Raises:
        InputError: There are fewer images than a batch has.
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
                f"the batch size is {batch_size}; wanted 1 to {len(dataset):,}, which is how many "
                "images there are"
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
