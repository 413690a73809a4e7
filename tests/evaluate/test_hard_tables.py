"""Tables that a step is hard to choose for: outliers, any units, rows of zeros, tight clusters."""

import numpy as np
import pytest

import nncompress


@pytest.fixture
def rows(random):
    return (random.normal(size=(400, 16)) @ random.normal(size=(16, 16))).astype(np.float32)


def compressed(rows, **options):
    """Returns decoded rows, the bytes of a row, and facts."""
    embedding = nncompress.compress(rows, report=None, **options)
    table = embedding.table
    size = table.row_bytes + table.shared_bytes / len(rows)
    return embedding.to_numpy(), size, embedding.provenance


def cosines(rows, decoded):
    rows, decoded = rows.astype(np.float64), decoded.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(decoded, axis=1)
    return np.einsum("nd,nd->n", rows, decoded) / lengths


def test_one_huge_row_does_not_take_the_others_bits(random):
    rows = random.normal(size=(1_000, 32)) @ random.normal(size=(32, 32))
    rows = rows.astype(np.float32)
    rows[17] *= 1e4
    decoded, size, _ = compressed(rows, bytes_per_row=16)
    assert cosines(rows, decoded).mean() > 0.95
    assert size > 10


def test_a_size_that_is_not_made_use_of_is_told_of(rows):
    rows[17] *= 1e7
    with pytest.warns(UserWarning, match="cannot be used up: because some rows are much"):
        compressed(rows, bytes_per_row=25)


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1e7, 1e30])
def test_units_change_nothing(rows, unit):
    expected, _, _ = compressed(rows, bytes_per_row=25)
    decoded, _, _ = compressed((rows * np.float64(unit)).astype(np.float32), bytes_per_row=25)
    np.testing.assert_allclose(decoded / unit, expected, atol=0.2 * np.abs(rows).mean())
    errors = [np.square(each - rows).sum() for each in (decoded / unit, expected)]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


def test_rows_of_zeros_have_no_cosine(rows):
    rows[:50] = 0
    decoded, _, facts = compressed(rows, cosine=0.95)
    assert 0.95 <= facts["mean_cosine"] < 0.96
    assert cosines(rows[50:], decoded[50:]).mean() == pytest.approx(facts["mean_cosine"])


def test_clusters_that_are_points_are_found_along_every_axis(random):
    rows = np.eye(32, dtype=np.float32)[random.integers(0, 32, 1_000)]
    decoded, _, _ = compressed(rows, cosine=0.99)
    assert cosines(rows, decoded).min() > 0.9
