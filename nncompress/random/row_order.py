"""The random order of the rows in each epoch."""

import numpy as np

from nncompress.random.noise import Stream, generator

# A matrix larger than this is read in blocks, however much memory the machine has, so that a seed
# means the same order everywhere.
WHOLE_BYTES = 2 << 30
_BLOCK_BYTES = 1 << 20
_WINDOW_BLOCKS = 128


class RowOrder:
    """A permutation of the rows for each epoch, generated one window at a time.

    The rows of a matrix of up to 2 GiB are shuffled as a whole, in one window. A larger matrix is
    cut into blocks of 1 MiB; the blocks are shuffled, and so are the rows within each window of
    128 blocks, so that a disk is read in large pieces and the indices take little memory.

    Args:
        num_rows: N.
        row_bytes: Size of a row in the matrix's file.
        seed: Seed of the orders.
    """

    def __init__(self, num_rows: int, row_bytes: int, seed: int) -> None:
        self.num_rows = num_rows
        self._seed = seed
        whole = num_rows * row_bytes <= WHOLE_BYTES
        self._block_rows = num_rows if whole else max(1, _BLOCK_BYTES // row_bytes)

    def windows(self, epoch: int, position: int = 0):
        """Yields an epoch's order.

        Args:
            epoch: Number of the epoch, from 0.
            position: Number of rows to skip at its beginning.

        Yields:
            Row indices, int64, one window at a time.
        """
        random = generator(self._seed, Stream.ROW_ORDER, epoch)
        blocks = random.permutation(-(-self.num_rows // self._block_rows))
        for number in range(0, len(blocks), _WINDOW_BLOCKS):
            starts = blocks[number : number + _WINDOW_BLOCKS] * self._block_rows
            rows = (starts[:, None] + np.arange(self._block_rows)).ravel()
            rows = rows[rows < self.num_rows]
            random.shuffle(rows)
            if position < len(rows):
                yield rows[position:]
            position = max(0, position - len(rows))
