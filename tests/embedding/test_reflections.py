"""Rotations as reflections."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncompress.embedding.reflections import axes_of, normal_of
from nncompress.embedding.rice import RiceRows


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_any_integers_make_orthonormal_axes(dim, seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, dim))
    integers = [rng.integers(-5, 6, dim - s) for s in range(count)]
    axes = axes_of(RiceRows.of(integers), dim).astype(np.float64)
    np.testing.assert_allclose(axes @ axes.T, np.eye(dim), atol=1e-6)


def test_a_first_axis_is_the_direction_of_its_integers():
    rng = np.random.default_rng(1)
    integers = rng.integers(-9, 10, 20)
    axes = axes_of(RiceRows.of([integers]), 20)
    direction = integers / np.linalg.norm(integers)
    np.testing.assert_allclose(abs(axes[0] @ direction), 1.0, atol=1e-6)


def test_integers_of_zeros_reflect_nothing():
    assert normal_of(np.zeros(3, int)) is None
    np.testing.assert_array_equal(axes_of(RiceRows.of([np.zeros(3, int)]), 3), np.eye(3))
