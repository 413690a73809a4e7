"""The nearest rows and how many are kept, against sorting all cosines."""

import numpy as np
import pytest

from nncompress.evaluate.neighbours import Nearest, kept


def cosines_of(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines


def blocks_of(rows, size):
    return ((start, rows[start : start + size]) for start in range(0, len(rows), size))


@pytest.mark.parametrize("size", [7, 64, 1_000])
def test_nearest_rows_come_in_falling_order(random, size):
    rows = random.normal(size=(200, 6)).astype(np.float32)
    queries = np.array([0, 3, 199])
    nearest = Nearest(queries, rows[queries], 10)
    for start, block in blocks_of(rows, size):
        nearest.look_at(start, block)
    wanted = np.argsort(-cosines_of(rows)[queries], axis=1)[:, :10]
    assert (nearest.numbers == wanted).all()


def test_the_share_that_is_kept_is_that_of_sorting(random):
    rows = random.normal(size=(200, 6)).astype(np.float32)
    other = rows + 0.3 * random.normal(size=rows.shape).astype(np.float32)
    queries = np.arange(0, 200, 9)
    first, second = (
        np.argsort(-cosines_of(table)[queries], axis=1)[:, :10] for table in (rows, other)
    )
    found = kept(rows[queries], rows[second], rows[first[:, -1]])
    shares = [np.isin(a, b).mean() for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, shares)
    assert 0.2 < np.mean(shares) < 0.95


def test_of_rows_that_are_the_same_any_is_right_and_of_others_none():
    rows = np.concatenate([np.ones((50, 2)), np.eye(2)]).astype(np.float32)
    assert (kept(rows[:1], rows[None, [30, 31]], rows[1:2]) == 1).all()
    assert (kept(rows[:1], rows[None, [50, 51]], rows[1:2]) == 0).all()
