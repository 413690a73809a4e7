"""Operations on short rows of floats, against NumPy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from nncompress.cpu.vectors import (
    TOGETHER,
    add_branch,
    better,
    copy,
    count_bits,
    exchange,
    extremes,
    gather_sum,
    lowest_bit,
    shared,
    up_to,
    weighted_sum,
)

lengths = st.integers(1, 100)
seeds = st.integers(0, 2**32 - 1)


@njit
def call_better(table, noise, temperature, margin, code):
    return better(
        np.int64(table.ctypes.data), np.int64(noise.ctypes.data), temperature, margin,
        np.int64(code), np.int64(table.size),
    )  # fmt: skip


@njit
def call_better_without_noise(table, margin, code):
    return better(
        np.int64(table.ctypes.data), None, np.float32(0), margin, np.int64(code),
        np.int64(table.size),
    )  # fmt: skip


@njit
def call_exchange(total, table, new, old):
    exchange(
        np.int64(total.ctypes.data), np.int64(table.ctypes.data), np.int64(new.ctypes.data),
        np.int64(old.ctypes.data), np.int64(table.size),
    )  # fmt: skip


@njit
def call_gather_sum(total, start, rows, units):
    gather_sum(
        np.int64(total.ctypes.data), np.int64(start.ctypes.data), np.int64(rows.ctypes.data),
        np.int64(units.ctypes.data),
        (np.int64(units.size), np.int64(total.size), np.int64(rows.shape[1])),
    )  # fmt: skip


@njit
def call_weighted_sum(total, start, rows, units, weights):
    weighted_sum(
        np.int64(total.ctypes.data), np.int64(start.ctypes.data), np.int64(rows.ctypes.data),
        np.int64(units.ctypes.data), np.int64(weights.ctypes.data),
        (np.int64(units.size), np.int64(total.size), np.int64(rows.shape[1])),
    )  # fmt: skip


@njit
def call_add_branch(total, lows, sums, rows, units, constant, known, levels):
    add_branch(
        np.int64(total.ctypes.data), np.int64(lows.ctypes.data), np.int64(sums.ctypes.data),
        np.int64(rows.ctypes.data), np.int64(units.ctypes.data), constant,
        (
            np.int64(known), np.int64(levels), np.int64(units.size),
            np.int64(rows.shape[1]),
        ),
    )  # fmt: skip


@njit
def call_copy(total, source):
    copy(np.int64(total.ctypes.data), np.int64(source.ctypes.data), np.int64(source.size))


@njit
def call_extremes(values):
    return extremes(np.int64(values.ctypes.data), np.int64(values.size))


@njit
def call_shared(one, other):
    return shared(np.int64(one.ctypes.data), np.int64(other.ctypes.data), np.int64(one.size))


@njit
def call_up_to(values, limit):
    return up_to(np.int64(values.ctypes.data), limit)


@njit
def call_bits(bits):
    return lowest_bit(bits), count_bits(bits)


@settings(deadline=None)
@given(lengths, seeds, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.5]))
def test_better_is_the_first_of_the_smallest_or_what_it_was(length, seed, ties, noisy, margin):
    random = np.random.default_rng(seed)
    table, noise = random.normal(size=(2, length)).astype(np.float32)
    code = int(random.integers(length))
    temperature = np.float32(0.7 if noisy else 0)
    if ties:
        table, noise = np.round(table), np.round(noise)
        temperature = np.float32(0.5 if noisy else 0)
    values = table.astype(np.float64) - np.float64(temperature) * noise
    found = call_better(table, noise, temperature, np.float32(margin), code)
    if not noisy:
        assert found == call_better_without_noise(table, np.float32(margin), code)
    if ties or not noisy:
        exact = values.astype(np.float32)
        lower = exact.min() < exact[code] - np.float32(margin)
        assert found == (exact.argmin() if lower else code)
    elif values.min() < values[code] - margin - 1e-6:
        assert values[found] <= values.min() + 1e-6
    elif values.min() > values[code] - margin + 1e-6:
        assert found == code


@settings(deadline=None)
@given(lengths, seeds, st.booleans())
def test_exchange_touches_its_own_numbers_alone(length, seed, in_place):
    random = np.random.default_rng(seed)
    total, table, new, old = random.normal(size=(4, length + 8)).astype(np.float32)
    if in_place:
        total = table
    expected = total.copy()
    expected[:length] = table[:length] + new[:length] - old[:length]
    call_exchange(total[:length], table[:length], new, old)
    np.testing.assert_allclose(total, expected, rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(st.integers(1, 300), seeds, st.integers(0, 11))
def test_sums_of_rows_touch_their_own_numbers_alone(length, seed, count):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(9, length + 3)).astype(np.float32)
    start, total = random.normal(size=(2, length + 8)).astype(np.float32)
    units = random.integers(9, size=count).astype(np.int32)
    expected = total.copy()
    expected[:length] = start[:length] + rows[units, :length].sum(axis=0)
    call_gather_sum(total[:length], start, rows, units)
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
    weights = random.normal(size=count).astype(np.float32)
    expected[:length] = start[:length] + weights @ rows[units, :length]
    call_weighted_sum(total[:length], start, rows, units, weights)
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None)
@given(st.integers(1, 6), seeds, st.integers(0, 4), st.integers(0, 3))
def test_a_branch_is_the_sum_of_its_rows_however_much_is_known(blocks, seed, levels, rest):
    random = np.random.default_rng(seed)
    length = 16 * blocks
    step = TOGETHER if blocks == 1 else 1
    rows = random.normal(size=(9, length)).astype(np.float32)
    units = random.integers(9, size=levels * step + rest).astype(np.int32)
    sums = np.empty((levels + 1, length), np.float32)
    lows = random.normal(size=16).astype(np.float32)
    sums[0] = random.normal(size=length)
    expected = 2.5 + sums[0] + rows[units].sum(axis=0)
    lowest = np.minimum(lows, expected.reshape(-1, 16).min(axis=0))
    totals = []
    for known in range(levels + 1):  # each finds what the one before has left
        total = np.empty(length, np.float32)
        call_add_branch(total, lows, sums, rows, units, np.float32(2.5), known, levels)
        np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(lows, lowest, rtol=1e-5, atol=1e-5)
        totals.append(total)
    assert all((total == totals[0]).all() for total in totals)


@settings(deadline=None)
@given(st.integers(0, 3), seeds)
def test_copies_are_copies(blocks, seed):
    source = np.random.default_rng(seed).integers(2**31, size=16 * blocks).astype(np.int32)
    total = np.full(16 * blocks + 8, -1, np.int32)
    call_copy(total, source)
    np.testing.assert_array_equal(total, np.concatenate([source, np.full(8, -1, np.int32)]))


@settings(deadline=None)
@given(st.integers(1, 5), seeds, st.floats(0.0, 0.9))
def test_extremes_are_those_of_the_finite_numbers(words, seed, share):
    random = np.random.default_rng(seed)
    values = random.normal(loc=3, size=64 * words).astype(np.float32)
    finite = values.copy()
    values[random.random(values.size) < share] = np.inf
    if not np.isfinite(values).any():
        values[-1] = finite[-1]
    finite = values[np.isfinite(values)]
    assert call_extremes(values) == (finite.min(), finite.max())


@settings(deadline=None)
@given(st.integers(0, 3), seeds, st.integers(0, 48))
def test_what_is_shared_ends_at_the_first_difference(blocks, seed, until):
    random = np.random.default_rng(seed)
    one = random.integers(3, size=16 * blocks).astype(np.int32)
    other = random.integers(3, size=16 * blocks).astype(np.int32)
    other[:until] = one[:until]
    different = np.flatnonzero(one != other)
    assert call_shared(one, other) == (different[0] if different.size else one.size)


@settings(deadline=None)
@given(seeds)
def test_bits_tell_which_numbers_keep_to_a_limit(seed):
    values = np.random.default_rng(seed).integers(5, size=64).astype(np.float32)
    bits = call_up_to(values, np.float32(2)) & (2**64 - 1)
    assert [bits >> i & 1 for i in range(64)] == [int(value <= 2) for value in values]
    if bits:
        assert call_bits(np.uint64(bits).astype(np.int64)) == (
            int(np.flatnonzero(values <= 2)[0]),
            int((values <= 2).sum()),
        )
