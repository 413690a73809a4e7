import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.embedding import row_lists
from nncompress.embedding.row_lists import RowLists
from nncompress.errors import FormatError


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_every_list_is_read_as_it_was_made(num_rows, lists, filled, seed):
    random, count = np.random.default_rng(seed), 1 + int(lists * (num_rows - 1))
    some = random.permutation(count)[: 1 + int(filled * (count - 1))]
    own = random.choice(some, num_rows).astype(np.uint16)
    lists = RowLists.of(own, count)
    for which in range(count):
        np.testing.assert_array_equal(lists.read(np.array([which])), np.flatnonzero(own == which))
    np.testing.assert_array_equal(np.sort(lists.read(np.arange(count))), np.arange(num_rows))


def test_lists_are_read_in_the_order_that_is_asked_for(random):
    own = random.integers(64, size=5_000).astype(np.uint8)
    lists = RowLists.of(own, 64)
    which = np.array([7, 3, 63])
    expected = np.concatenate([np.flatnonzero(own == one) for one in which])
    np.testing.assert_array_equal(lists.read(which), expected)


def test_a_row_takes_little_more_than_telling_its_list(random):
    lists = RowLists.of(random.integers(1_024, size=100_000).astype(np.uint16), 1_024)
    bits = 8 * lists.nbytes / 100_000
    assert 10 < bits < 10 + 3  # row numbers alone would take 17


@pytest.mark.parametrize("exponent", [32, 33, 40, 48])
def test_row_numbers_may_be_large(random, exponent):
    num_rows = 1 << exponent
    count = 1 << max(20, exponent - 20)
    lists = RowLists(np.zeros(count, np.uint32), np.empty(0, np.uint8), num_rows)
    rows = [
        np.unique(random.integers(num_rows, size=n, dtype=np.int64) | edge)
        for n, edge in ((1, num_rows - 1), (9, 0), (1_000, 0))
    ]
    parts = [lists.coded(part) for part in rows]
    found = lists.decoded(
        np.concatenate([low for low, _ in parts]),
        np.concatenate([high for _, high in parts]),
        np.array([len(part) for part in rows]),
    )
    np.testing.assert_array_equal(found, np.concatenate(rows))


def test_lists_do_not_depend_on_how_they_are_sorted(random, monkeypatch):
    own = random.integers(40, size=3_000).astype(np.uint8)
    expected = RowLists.of(own, 40)
    monkeypatch.setattr(row_lists, "_PASSES", 1)
    monkeypatch.setattr(row_lists, "_BLOCK_ROWS", 7)
    again = RowLists.of(own, 40)
    np.testing.assert_array_equal(again.data, expected.data)
    np.testing.assert_array_equal(again.lengths, expected.lengths)


@pytest.mark.parametrize(
    ("lengths", "what"),
    [
        ([5, 6], "do not add up to 10 rows"),
        ([1 << 63, 10], "do not add up to 10 rows"),
        ([10, 0], "bytes; wanted"),
    ],
)
def test_lengths_that_cannot_be_are_refused(lengths, what):
    lists = RowLists.of(np.array([0] * 5 + [1] * 5, np.uint8), 2)
    damaged = RowLists(np.array(lengths, np.uint64), lists.data, 10)
    with pytest.raises(FormatError, match=what):
        damaged.read(np.array([0]))
