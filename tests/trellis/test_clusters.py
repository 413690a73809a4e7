"""Clusters of rows."""

import numpy as np

from nncompress.trellis.clusters import cluster_bits_for, find_centres, nearest


def test_the_nearest_centre_is_the_nearest_by_distance():
    rng = np.random.default_rng(0)
    rows, centres = rng.normal(size=(5_000, 7)), rng.normal(size=(30, 7))
    rows, centres = rows.astype(np.float32), centres.astype(np.float32)
    clusters, distances = nearest(rows, centres, 2)
    squares = np.square(rows[:, None].astype(np.float64) - centres).sum(axis=2)
    np.testing.assert_allclose(squares[np.arange(5_000), clusters], squares.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(distances, squares.min(axis=1), rtol=1e-4, atol=1e-4)


def test_separate_heaps_are_found():
    rng = np.random.default_rng(1)
    heaps = rng.normal(size=(6, 5)) * 50
    of_row = rng.integers(0, 6, 600)
    rows = (heaps[of_row] + rng.normal(size=(600, 5))).astype(np.float32)
    centres = find_centres(rows, None, 12, 1)
    _, distances = nearest(rows, centres, 1)
    assert distances.mean() < 10


def test_weights_draw_centres():
    rows = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
    weights = np.array([9.0, 1.0, 1.0, 1.0])
    centres = find_centres(rows, weights, 2, 1)
    np.testing.assert_allclose(np.sort(centres[:, 0]), [0.1, 10.5], rtol=1e-6)


def test_the_number_of_threads_changes_nothing():
    rows = np.random.default_rng(2).normal(size=(9_000, 8)).astype(np.float32)
    one, two = (find_centres(rows, None, 16, threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_there_are_as_many_clusters_as_rows_pay_for():
    bits = [cluster_bits_for(rows, rows) for rows in (100, 1_000, 20_000, 80_000, 10**8)]
    assert bits == [0, 4, 8, 10, 10]
    assert cluster_bits_for(10**8, 4_096) == 8
