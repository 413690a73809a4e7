import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from nncompress.cpu.packed_numbers import read_numbers
from nncompress.embedding.packing import Packing


@njit
def read(packed, bits, first, numbers, count):
    address = np.int64(packed.ctypes.data)
    read_numbers(
        address, packed.size, bits, first, np.int64(numbers.ctypes.data), np.int64(count)
    )  # fmt: skip


@settings(deadline=None)
@given(st.integers(1, 32), st.integers(1, 80), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_integers_are_read_as_they_were_packed(bits, count, skipped, seed):
    random = np.random.default_rng(seed)
    values = random.integers(1 << bits, size=(1, count + 8 * skipped), dtype=np.uint64)
    packed = Packing(values.shape[1], bits).pack(values)[0]
    numbers = np.full(count + 7 + 1, -7, np.int32)
    read(packed, bits, 8 * skipped, numbers, count)
    assert (numbers[:count].view(np.uint32) == values[0, 8 * skipped :]).all()
    assert numbers[-1] == -7  # there is room for a multiple of 8, and no more is touched


@settings(deadline=None)
@given(st.integers(1, 17), st.integers(1, 40), st.integers(2, 5))
def test_rows_that_others_follow_are_read_alike(bits, count, rows):
    values = np.random.default_rng(rows).integers(1 << bits, size=(rows, count))
    packed = Packing(count, bits).pack(values)
    for row in range(rows):
        numbers = np.empty(count + 7, np.int32)
        read(packed[row:].reshape(-1), bits, 0, numbers, count)
        assert (numbers[:count] == values[row]).all()
