"""Matrices that the tests share."""

import numpy as np
import pytest


@pytest.fixture
def random():
    return np.random.default_rng(7)


@pytest.fixture
def matrix(random):
    """A small matrix with structure: 300 rows around 20 centres."""
    centres = random.normal(size=(20, 12))
    rows = centres[random.integers(20, size=300)] + 0.3 * random.normal(size=(300, 12))
    return (3.0 * rows + 1.0).astype(np.float32)


@pytest.fixture
def matrix_path(tmp_path, matrix):
    path = tmp_path / "matrix.npy"
    np.save(path, matrix)
    return path
