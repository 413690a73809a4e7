import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncompress.random import row_order
from nncompress.random.row_order import RowOrder


def order_of(order, epoch, position=0):
    return np.concatenate([np.empty(0, int), *order.windows(epoch, position)])


@given(st.integers(1, 3_000), st.integers(0, 3_000), st.booleans())
def test_an_epoch_is_a_permutation_that_can_be_entered_anywhere(num_rows, position, large):
    order = RowOrder(num_rows, 64, 5)
    if large:
        order._block_rows = 7
    rows = order_of(order, 2)
    assert sorted(rows) == list(range(num_rows))
    position = min(position, num_rows)
    assert (order_of(order, 2, position) == rows[position:]).all()


def test_the_size_alone_decides_how_a_matrix_is_read():
    row_bytes = 1 << 20
    rows = row_order.WHOLE_BYTES // row_bytes
    assert len(list(RowOrder(rows, row_bytes, 0).windows(0))) == 1
    assert len(list(RowOrder(rows + 1, row_bytes, 0).windows(0))) > 1


def test_a_large_matrix_is_read_in_blocks(monkeypatch):
    monkeypatch.setattr(row_order, "WHOLE_BYTES", 1 << 20)
    order = RowOrder(1_000_000, 1024, 0)  # blocks of 1,024 rows, windows of 128 blocks
    windows = list(order.windows(0))
    assert sorted(np.concatenate(windows)) == list(range(1_000_000))
    for window in windows:
        assert len(np.unique(window // 1_024)) <= 128
        assert len(window) <= 128 * 1_024
        steps = np.diff(window)
        assert (steps == 1).mean() < 0.01  # shuffled within the window
    first = [np.unique(window // 1_024) for window in windows]
    assert max(first[0]) - min(first[0]) > 500  # blocks from all over the file
