"""Operations on short rows of floats, against NumPy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from nncompress.cpu.vectors import exchange, gather_sum, least

lengths = st.integers(1, 100)
seeds = st.integers(0, 2**32 - 1)


@njit
def call_least(table, noise, temperature):
    return least(
        np.int64(table.ctypes.data), np.int64(noise.ctypes.data), temperature, np.int64(table.size)
    )


@njit
def call_exchange(table, new, old):
    exchange(
        np.int64(table.ctypes.data),
        np.int64(new.ctypes.data),
        np.int64(old.ctypes.data),
        np.int64(table.size),
    )


@njit
def call_gather_sum(total, start, rows, units):
    gather_sum(
        np.int64(total.ctypes.data),
        np.int64(start.ctypes.data),
        np.int64(rows.ctypes.data),
        np.int64(units.ctypes.data),
        np.float32(2.5),
        (np.int64(units.size), np.int64(total.size), np.int64(rows.shape[1])),
    )


@given(lengths, seeds, st.booleans())
def test_least_is_the_first_of_the_smallest(length, seed, ties):
    random = np.random.default_rng(seed)
    table = random.normal(size=length).astype(np.float32)
    noise = random.normal(size=length).astype(np.float32)
    temperature = np.float32(0 if ties else 0.7)
    if ties:
        table = np.round(table)
    values = table.astype(np.float64) - np.float64(temperature) * noise
    found = call_least(table, noise, temperature)
    if ties:
        assert found == values.argmin()
    else:
        assert values[found] <= values.min() + 1e-6


@given(lengths, seeds)
def test_exchange_touches_its_own_numbers_alone(length, seed):
    random = np.random.default_rng(seed)
    table, new, old = random.normal(size=(3, length + 8)).astype(np.float32)
    expected = table.copy()
    expected[:length] += new[:length] - old[:length]
    call_exchange(table[:length], new, old)
    np.testing.assert_allclose(table, expected, rtol=1e-6, atol=1e-6)


@given(lengths, seeds, st.integers(0, 11))
def test_gather_sum_touches_its_own_numbers_alone(length, seed, count):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(9, length + 3)).astype(np.float32)
    start, total = random.normal(size=(2, length + 8)).astype(np.float32)
    units = random.integers(9, size=count).astype(np.int32)
    expected = total.copy()
    expected[:length] = 2.5 + start[:length] + rows[units, :length].sum(axis=0)
    call_gather_sum(total[:length], start, rows, units)
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
