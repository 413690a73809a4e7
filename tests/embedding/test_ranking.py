import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncompress.embedding.ranking import largest


@given(st.integers(1, 5_000), st.integers(1, 300), st.integers(0, 99), st.booleans())
def test_the_largest_are_those_of_a_stable_sort(n, count, seed, coarse):
    scores = np.random.default_rng(seed).normal(size=n).astype(np.float32)
    if coarse:
        scores = scores.round()
    expected = np.argsort(-scores, kind="stable")[:count]
    assert largest(scores, count).tolist() == expected.tolist()


def test_rows_that_are_left_out_come_last():
    scores = np.full(1_000, -np.inf, dtype=np.float32)
    scores[[7, 900]] = 1.0, 2.0
    assert largest(scores, 3).tolist() == [900, 7, 0]
