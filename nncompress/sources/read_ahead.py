"""Reading the next rows while earlier ones are being processed."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from nncompress.sources.row_source import RowSource

_AHEAD = 2


def read_ahead(source: RowSource, ranges: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
    """Yields rows range by range, while a thread reads the next ones.

    At most two blocks are in memory besides the one last yielded. The thread ends when the
    iterator is exhausted, closed or discarded, but first finishes the block that it is reading.

    Args:
        source: The rows.
        ranges: For each block, its first row and the row after its last.

    Yields:
        float32 ``(last - first, D)``.

    Raises:
        InputError: As from ``source.read``, when the block is due.
    """
    executor = ThreadPoolExecutor(1, "read-ahead")
    waiting: deque[Future[np.ndarray]] = deque()
    try:
        for first, last in ranges:
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
            waiting.append(executor.submit(source.read, first, last))
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
