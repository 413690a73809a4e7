"""The centres of clusters, and the cluster of each row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncompress.embedding.centres import Centres
from nncompress.embedding.rice import RiceRows


@given(st.integers(1, 12), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_clusters_and_centres_are_read_back(bits, num_rows, seed):
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 1 << bits, num_rows)
    integers = rng.integers(-30, 31, (1 << bits, 3))
    steps = np.array([0.5, 2.0, 0.125], np.float32)
    packed = Centres.pack(clusters, bits)
    centres = Centres(steps, RiceRows.of(list(integers.T)), bits, packed)
    rows = rng.integers(0, num_rows, 20)
    np.testing.assert_array_equal(centres.of_rows(rows), clusters[rows])
    np.testing.assert_array_equal(centres.coordinates(), (integers * steps).astype(np.float32))
    assert packed.shape == (-(-num_rows // 8), bits)
