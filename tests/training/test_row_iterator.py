import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.chainer_support.compatibility import chainer
from nncompress.random.row_order import RowOrder
from nncompress.training.row_iterator import RowIterator


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_each_epoch_visits_every_row_once(num_rows, batch_size, seed):
    batch_size = min(batch_size, num_rows)
    iterator = RowIterator(RowOrder(num_rows, 4, seed), batch_size)
    rows = np.concatenate([iterator.next() for _ in range(4 * num_rows)])
    for epoch in rows[: len(rows) // num_rows * num_rows].reshape(-1, num_rows):
        assert sorted(epoch) == list(range(num_rows))


@given(st.integers(1, 40), st.integers(1, 40))
def test_positions_are_those_of_chainers_serial_iterator(num_rows, batch_size):
    batch_size = min(batch_size, num_rows)
    ours = RowIterator(RowOrder(num_rows, 4, 0), batch_size)
    theirs = chainer.iterators.SerialIterator(range(num_rows), batch_size)
    for _ in range(100):
        assert len(ours.next()) == len(theirs.next())
        assert ours.epoch == theirs.epoch
        assert ours.is_new_epoch == theirs.is_new_epoch
        assert ours.epoch_detail == pytest.approx(theirs.epoch_detail)
        assert ours.previous_epoch_detail == pytest.approx(theirs.previous_epoch_detail)


def test_epochs_differ_and_seeds_differ():
    iterator = RowIterator(RowOrder(50, 4, 0), 50)
    first, second = iterator.next().tolist(), iterator.next().tolist()
    assert first != second
    assert RowIterator(RowOrder(50, 4, 1), 50).next().tolist() != first
    assert RowIterator(RowOrder(50, 4, 0), 50).next().tolist() == first


def test_it_goes_on_where_it_was_saved(tmp_path):
    iterator = RowIterator(RowOrder(10, 4, 3), 4)
    for _ in range(4):
        iterator.next()
    chainer.serializers.save_npz(str(tmp_path / "i.npz"), iterator)
    restored = RowIterator(RowOrder(10, 4, 3), 4)
    chainer.serializers.load_npz(str(tmp_path / "i.npz"), restored)
    for _ in range(7):
        assert restored.next().tolist() == iterator.next().tolist()
        assert restored.epoch_detail == iterator.epoch_detail
