import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.cpu import shared_blocks
from nncompress.embedding.packing import Packing


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 30),
    st.integers(1, 18), st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_blocks_are_the_centroids_of_their_numbers(seed, size, rows, columns, bits, dtype):
    """Rows may begin and end within blocks."""
    random = np.random.default_rng(seed)
    rows *= size  # some number of whole blocks
    centroids = random.normal(size=(min(1 << bits, 50), size)).astype(dtype)
    numbers = random.integers(len(centroids), size=rows * columns // size)
    padded = np.zeros(-(-len(numbers) // 8) * 8, np.int64)
    padded[: len(numbers)] = numbers
    packed = Packing(8, bits).pack(padded.reshape(-1, 8)).reshape(-1)
    matrix = centroids[numbers].reshape(rows, columns)
    ids = random.integers(rows, size=7)
    found = np.full((7, columns), np.nan, dtype)
    shared_blocks.decode(packed, bits, centroids, ids, found)
    assert (found == matrix[ids]).all()

    sums, expected = np.ones(centroids.shape), np.ones(centroids.shape)
    shared_blocks.add_by_number(packed, bits, ids, found, sums)
    whole = np.zeros(matrix.shape)
    np.add.at(whole, ids, found)
    np.add.at(expected, numbers, whole.reshape(-1, size))
    np.testing.assert_allclose(sums, expected, rtol=1e-6, atol=1e-6)
