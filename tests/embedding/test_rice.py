"""Integers in Rice's code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.embedding.rice import RiceRows, bits_of
from nncompress.errors import FormatError

_ROWS = st.lists(
    st.lists(st.integers(-(1 << 20), 1 << 20), min_size=1, max_size=40), min_size=1, max_size=6
)


@given(_ROWS)
def test_rows_are_read_back(rows):
    arrays = [np.array(row) for row in rows]
    read = RiceRows.of(arrays).read([len(row) for row in rows])
    assert [row.tolist() for row in read] == rows


def read_by_the_page(coded: RiceRows, lengths: list[int]) -> list[list[int]]:
    """Reads integers bit by bit, as docs/file-format.md says."""
    high = iter(np.unpackbits(coded.high, bitorder="little").tolist())
    place, rows = 0, []
    for length, count in zip(lengths, coded.low_bits.tolist(), strict=True):
        own = coded.low[place : place + (length * count + 7) // 8]
        low = np.unpackbits(own, bitorder="little").tolist()
        place += len(own)
        row = []
        for i in range(length):
            u = 0
            while next(high) == 0:
                u += 1 << count
            u += sum(bit << j for j, bit in enumerate(low[i * count : (i + 1) * count]))
            row.append(u // 2 if u % 2 == 0 else -(u + 1) // 2)
        rows.append(row)
    return rows


@given(_ROWS)
def test_a_reader_bit_by_bit_reads_the_same(rows):
    coded = RiceRows.of([np.array(row) for row in rows])
    assert read_by_the_page(coded, [len(row) for row in rows]) == rows


def test_the_bits_told_are_the_bits_taken():
    rng = np.random.default_rng(0)
    rows = [rng.normal(0, size, 4_000).round().astype(int) for size in (0.3, 3.0, 300.0)]
    coded = RiceRows.of(rows)
    told = sum(bits_of(row) for row in rows)
    assert abs(8 * (coded.low.nbytes + coded.high.nbytes) - told) <= 8 * 4
    # A Gaussian's entropy in integers is log2(size * sqrt(2 pi e)).
    for size, row in zip((3.0, 300.0), rows[1:], strict=True):
        assert bits_of(row) / len(row) < np.log2(size * 4.133) + 0.4


def test_too_few_integers_are_refused():
    coded = RiceRows.of([np.arange(5), np.arange(7)])
    with pytest.raises(FormatError, match="12 integers in 2 rows; wanted 13 in 2"):
        coded.read([5, 8])
    with pytest.raises(FormatError, match="end too soon"):
        RiceRows(coded.low_bits, coded.low[:1], coded.high).read([5, 7])
