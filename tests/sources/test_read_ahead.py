import threading
import time

import numpy as np
import pytest

from nncompress import InputError
from nncompress.sources.open_rows import open_rows
from nncompress.sources.read_ahead import read_ahead

ROWS = np.random.default_rng(3).normal(size=(100, 4)).astype(np.float32)
RANGES = [(i, i + 10) for i in range(0, 100, 10)]


class Counted:
    """Rows that keep count of what was read."""

    def __init__(self, rows=ROWS):
        self.rows, self.read_ranges, self.threads = rows, [], set()

    def read(self, first, last):
        self.threads.add(threading.current_thread())
        self.read_ranges.append((first, last))
        return self.rows[first:last]


def settled(source):
    """Returns how many ranges have been read when no more are."""
    count = -1
    while count != len(source.read_ranges):
        count = len(source.read_ranges)
        time.sleep(0.05)
    return count


def test_blocks_come_in_order_and_at_most_two_wait():
    source = Counted()
    blocks = zip(RANGES, read_ahead(source, RANGES), strict=True)
    for done, ((first, last), block) in enumerate(blocks, 1):
        assert block.tolist() == ROWS[first:last].tolist()
        if done in (1, 4):
            assert done < settled(source) <= done + 2
    assert source.read_ranges == RANGES
    assert threading.current_thread() not in source.threads
    assert not any(thread.is_alive() for thread in source.threads)
    assert list(read_ahead(source, [])) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_thread_ends_with_its_consumer(error):
    source = Counted()

    def consume():
        for _ in read_ahead(source, RANGES):
            raise error

    with pytest.raises(error):
        consume()
    assert len(source.read_ranges) <= 3
    assert not any(thread.is_alive() for thread in source.threads)


def test_errors_come_when_it_is_the_blocks_turn():
    rows = ROWS.copy()
    rows[35, 2] = np.nan
    with open_rows(rows) as source:
        blocks = read_ahead(source, RANGES)
        assert [len(next(blocks)) for _ in range(3)] == [10, 10, 10]
        with pytest.raises(InputError, match="nan in row 35, column 2"):
            next(blocks)
