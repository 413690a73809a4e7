import numpy as np
import pytest
from numba import njit

from nncompress.autoencoder.kernels import elementary
from nncompress.autoencoder.kernels.blas import gemm_address
from nncompress.autoencoder.kernels.intrinsics import product, wait_for_all
from nncompress.threads import Team


@njit
def apply_log(x, y):
    for i in range(x.size):
        y[i] = elementary.log(x[i])


@njit
def apply_exp(x, y):
    for i in range(x.size):
        y[i] = elementary.exp(x[i])


@njit
def apply_tanh(x, y):
    for i in range(x.size):
        y[i] = elementary.tanh(x[i])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("apply", "reference", "numbers"),
    [
        (apply_log, np.log, np.logspace(-37, 38, 100_001)),
        (apply_log, np.log, 1 + np.linspace(-1e-3, 1e-3, 10_001)),
        (apply_exp, np.exp, np.linspace(-87, 88, 100_001)),
        (apply_tanh, np.tanh, np.linspace(-12, 12, 100_001)),
        (apply_tanh, np.tanh, np.logspace(-20, 0, 10_001)),
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (1, 5, 3), (6, 1, 4), (33, 17, 65)])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_products_agree_with_numpy(random, dtype, m, n, k, transpose_a, transpose_b):
    def wide(rows, columns):
        """A matrix whose rows are not next to each other."""
        return random.normal(size=(rows, columns + 3)).astype(dtype)[:, 1 : columns + 1]

    a = wide(k, m) if transpose_a else wide(m, k)
    b = wide(n, k) if transpose_b else wide(k, n)
    for beta in (0.0, 1.0):
        around = random.normal(size=(m, n + 2)).astype(dtype)
        before, c = around.copy(), around[:, 1:-1]
        product(gemm_address(dtype), a, transpose_a, b, transpose_b, c, beta)
        expected = (a.T if transpose_a else a) @ (b.T if transpose_b else b) + beta * before[
            :, 1:-1
        ]
        np.testing.assert_allclose(c, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
        assert (around[:, [0, -1]] == before[:, [0, -1]]).all()


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
