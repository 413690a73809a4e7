import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.embedding.quantized_matrix import BITS, QuantizedMatrix


@given(st.integers(1, 9), st.integers(1, 40), st.sampled_from(BITS), st.integers(0, 99))
def test_entries_are_the_nearest_multiples_of_their_rows_scales(rows, dim, bits, seed):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, dim)) * 10.0 ** random.integers(-6, 6, size=(rows, 1))
    quantized = QuantizedMatrix.of(matrix, bits)
    assert quantized.packed.shape == (rows, -(-dim * bits // 8))
    assert quantized.packed.dtype == np.uint8
    found = quantized.to_numpy()
    assert found.shape == matrix.shape
    assert found.dtype == np.float32
    most = 2 ** (bits - 1) - 1
    scales = quantized.scales.astype(np.float64)[:, None]
    units = found / scales
    np.testing.assert_allclose(units, np.rint(units), atol=1e-4)
    assert np.abs(units).max() <= most + 1e-4
    assert (np.abs(found - matrix) <= 0.5001 * scales).all()
    np.testing.assert_allclose(np.abs(found).max(axis=1), np.abs(matrix).max(axis=1), rtol=1e-3)


@pytest.mark.parametrize("bits", BITS)
def test_packing_twice_changes_nothing(bits, random):
    once = QuantizedMatrix.of(random.normal(size=(5, 13)), bits)
    twice = QuantizedMatrix.of(once.to_numpy(), bits)
    assert (once.packed == twice.packed).all()
    np.testing.assert_allclose(once.scales, twice.scales, rtol=1e-6)


def test_rows_of_zeros_stay_zeros():
    matrix = np.zeros((3, 4))
    matrix[1, 2] = -1.75  # 7 times a scale that half precision has
    assert (QuantizedMatrix.of(matrix, 4).to_numpy() == matrix).all()
