"""Principal axes as reflections."""

import numpy as np
import pytest

from nncompress.embedding.reflections import axes_of
from nncompress.trellis.axes import fit_axes


def covariance_of(dim: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    return axes * (10.0 / np.arange(1, dim + 1) ** 1.5) @ axes.T


def bits_of_a_gaussian(squares: np.ndarray, distortion: float) -> float:
    return 0.5 * np.log2(np.maximum(squares / distortion, 1.0)).sum()


@pytest.mark.parametrize("dim", [1, 2, 17, 40])
def test_mean_squares_are_those_of_rotated_rows(dim):
    covariance = covariance_of(dim)
    reflections, squares = fit_axes(covariance, 0.01, 10_000)
    axes = axes_of(reflections, dim).astype(np.float64)
    np.testing.assert_allclose(np.diag(axes @ covariance @ axes.T), squares, rtol=1e-4)


def test_with_many_rows_the_axes_are_the_principal_ones():
    covariance = covariance_of(40)
    _, squares = fit_axes(covariance, 0.001, 10**9)
    best = bits_of_a_gaussian(np.linalg.eigvalsh(covariance), 0.001)
    assert bits_of_a_gaussian(squares, 0.001) < best + 0.01


def test_few_rows_are_not_worth_axes():
    covariance = covariance_of(40)
    reflections, squares = fit_axes(covariance, 0.001, 2)
    assert len(reflections.low_bits) == 0
    np.testing.assert_array_equal(squares, np.diag(covariance))


def test_axes_cost_less_than_they_save():
    covariance = covariance_of(40)
    for num_rows in (100, 1_000, 100_000):
        reflections, squares = fit_axes(covariance, 0.001, num_rows)
        saved = bits_of_a_gaussian(np.diag(covariance), 0.001) - bits_of_a_gaussian(squares, 0.001)
        assert saved * num_rows > 8 * reflections.nbytes
