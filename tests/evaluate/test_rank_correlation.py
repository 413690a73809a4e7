import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.evaluate.rank_correlation import spearman

few = st.lists(st.integers(0, 5), min_size=12, max_size=12)


@given(few, few)
def test_ranks_with_ties_correlate_as_scipy_has_it(one, other):
    stats = pytest.importorskip("scipy.stats")
    one, other = np.array(one, float), np.array(other, float)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert spearman(one, other) == 0
        return
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other)[0], abs=1e-12)


def test_many_samples_are_correlated_at_once(random):
    one, other = random.integers(9, size=(2, 5, 40)) / 8
    together = spearman(one, other)
    assert together.shape == (5,)
    for i in range(5):
        assert together[i] == spearman(one[i], other[i])
