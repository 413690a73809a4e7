import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from nncompress.cpu import elementary
from nncompress.cpu.arena import allocate
from nncompress.cpu.barrier import wait_for_all
from nncompress.cpu.panels import PANEL_BYTES, pack, pack_transposed, packed, panel_numbers
from nncompress.cpu.product import product
from nncompress.machine import Team


def applied(function):
    """Returns what applies an elementary function to each number of an array."""

    @njit
    def apply(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    return apply


apply_log, apply_exp, apply_tanh, apply_log_of_one_and, apply_inverse = map(
    applied,
    (
        elementary.log, elementary.exp, elementary.tanh, elementary.log_of_one_and,
        elementary.inverse,
    ),
)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("apply", "reference", "numbers"),
    [
        (apply_log, np.log, np.logspace(-37, 38, 100_001)),
        (apply_log, np.log, 1 + np.linspace(-1e-3, 1e-3, 10_001)),
        (apply_exp, np.exp, np.linspace(-87, 88, 100_001)),
        (apply_tanh, np.tanh, np.linspace(-12, 12, 100_001)),
        (apply_tanh, np.tanh, np.logspace(-20, 0, 10_001)),
        (apply_log_of_one_and, np.log1p, np.linspace(0, 1, 100_001)),
        (apply_log_of_one_and, np.log1p, np.logspace(-37, 0, 10_001)),
        (apply_inverse, np.reciprocal, np.logspace(-37, 37.6, 100_001)),
    ],
)
def test_elementary_functions_are_accurate(dtype, apply, reference, numbers):
    x = numbers.astype(dtype)
    found = np.empty_like(x)
    apply(x, found)
    np.testing.assert_allclose(
        found, reference(x.astype(np.float64)), rtol=3 * np.finfo(dtype).eps, atol=1e-44
    )


def test_exp_of_very_negative_numbers_is_nothing():
    x = np.array([-88, -1e4, -np.inf], np.float32)
    found = np.empty_like(x)
    apply_exp(x, found)
    assert (found < 2e-38).all()


@pytest.mark.parametrize("apply", [apply_exp, apply_tanh])
def test_nan_stays_nan(apply):
    found = np.zeros(20, np.float32)
    apply(np.full(20, np.nan, np.float32), found)
    assert np.isnan(found).all()


def test_the_inverse_of_what_is_too_large_is_next_to_nothing():
    found = np.full(20, np.nan, np.float32)
    apply_inverse(np.array([1e38, 3.4e38, np.inf] * 6 + [np.inf] * 2, np.float32), found)
    assert ((found > 0) & (found < 3e-38)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transpose_a", [False, True])
@settings(deadline=None)  # the first call compiles
@given(m=st.integers(1, 20), n=st.integers(1, 150), k=st.integers(1, 20), seed=st.integers(0, 9))
def test_products_agree_with_numpy(dtype, transpose_a, m, n, k, seed):
    random = np.random.default_rng(seed)

    def wide(rows, columns):
        """A matrix whose rows are not next to each other."""
        return random.normal(size=(rows, columns + 3)).astype(dtype)[:, 1 : columns + 1]

    a, b = wide(k, m) if transpose_a else wide(m, k), wide(k, n)
    for accumulate in (False, True):
        around = random.normal(size=(m + 2, n + 2)).astype(dtype)
        if not accumulate:
            around[1:-1, 1:-1] = np.nan  # what is not added to must not matter
        before, c = around.copy(), around[1:-1, 1:-1]
        product(a, transpose_a, packed(b), c, accumulate)
        expected = (a.T if transpose_a else a).astype(np.float64) @ b
        if accumulate:
            expected += before[1:-1, 1:-1]
        np.testing.assert_allclose(c, expected, atol=1e-5 if dtype == np.float32 else 1e-13)
        around[1:-1, 1:-1] = before[1:-1, 1:-1] = 0
        assert (around == before).all()


def test_a_part_of_a_product_is_the_same_to_the_last_bit(random):
    a, b = (random.normal(size=size).astype(np.float32) for size in ((50, 70), (70, 200)))
    whole, part = np.empty((50, 200), np.float32), np.empty((13, 57), np.float32)
    product(a, False, packed(b), whole, False)
    product(a[20:33], False, packed(b[:, 101:158]), part, False)
    assert (part == whole[20:33, 101:158]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 150), seed=st.integers(0, 9))
def test_a_packed_matrix_is_the_matrix_and_zeros(dtype, rows, columns, seed):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns)).astype(dtype)
    numbers = panel_numbers(rows, columns, matrix.itemsize)
    for pack_it, source in ((pack, matrix), (pack_transposed, np.ascontiguousarray(matrix.T))):
        memory = np.full(numbers + 1, np.nan, dtype)
        pack_it(source, memory)
        unpacked = memory[:-1].reshape(-1, rows, PANEL_BYTES // matrix.itemsize)
        unpacked = unpacked.transpose(1, 0, 2).reshape(rows, -1)
        assert (unpacked[:, :columns] == matrix).all()
        assert (unpacked[:, columns:] == 0).all()
        assert np.isnan(memory[-1])
        assert (packed(matrix) == memory[:-1]).all()


@njit(nogil=True)
def meet(thread, threads, barrier, log, rounds):
    passed = 0
    for turn in range(rounds):
        log[turn, thread] = turn
        passed = wait_for_all(barrier, passed, threads)
        for other in range(threads):
            if log[turn, other] != turn:
                log[turn, thread] = -1
        passed = wait_for_all(barrier, passed, threads)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_nobody_passes_a_barrier_before_all_are_there(threads):
    log = np.full((300, threads), -2)
    team = Team(threads)
    for _ in range(3):
        log[:] = -2
        team.run(meet, threads, log, 300)
        assert (log == np.arange(300)[:, None]).all()


@njit(nogil=True)
def meet_late(thread, threads, barrier, log, rounds, numbers):
    passed = 0
    for turn in range(rounds):
        if thread == turn % threads:  # everybody else falls asleep meanwhile
            for i in range(numbers.size):
                numbers[i] = np.sqrt(numbers[i] + 1.0)
        log[turn, thread] = turn
        passed = wait_for_all(barrier, passed, threads)
        for other in range(threads):
            if log[turn, other] != turn:
                log[turn, thread] = -1
        passed = wait_for_all(barrier, passed, threads)


@pytest.mark.parametrize("threads", [2, 4])
def test_who_has_fallen_asleep_wakes_up(threads):
    log = np.full((40, threads), -2)
    Team(threads).run(meet_late, threads, log, 40, np.ones(1_000_000))
    assert (log == np.arange(40)[:, None]).all()


def test_arrays_of_an_arena_begin_on_lines_and_do_not_overlap():
    kinds = {"a": ((3, 5), np.float32), "b": ((7,), np.float64), "c": ((0,), np.float32)}
    arrays = allocate({name: (shape, np.dtype(kind)) for name, (shape, kind) in kinds.items()})
    for name, array in arrays.items():
        assert (array.shape, array.dtype) == kinds[name]
        assert array.ctypes.data % 64 == 0
        array[...] = ord(name)
    assert all((array == ord(name)).all() for name, array in arrays.items())
