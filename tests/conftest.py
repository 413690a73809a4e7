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


@pytest.fixture
def table(random):
    """Codes, a codebook and words of 700 rows: M=8, K=11, D=9."""
    codes = random.integers(11, size=(700, 8))
    codebook = random.normal(size=(88, 9)).astype(np.float32)
    return codes, codebook, [f"wörd {i}" for i in range(700)]


@pytest.fixture
def decoded(table):
    """The table's rows, by the definition, in float64."""
    codes, codebook, _ = table
    return np.eye(11)[codes].reshape(700, -1) @ codebook.astype(np.float64)
