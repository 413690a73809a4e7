import numpy as np
import pytest

from nncompress.sources import EmbeddingMatrix


def test_centre_and_scale_follow_their_definition(matrix):
    fitted = EmbeddingMatrix(matrix).normalization
    exact = matrix.astype(np.float64)
    np.testing.assert_allclose(fitted.centre, exact.mean(axis=0), rtol=1e-6)
    assert fitted.scale == pytest.approx(np.sqrt(exact.var(axis=0).mean()), rel=1e-9)


@pytest.mark.parametrize(
    ("value", "scale"),
    [(0.0, 1.0), (0.1, 1.0), (3.3e7, 1.0), (-(2.0**-67), 2.0**-66), (1.5 * 2.0**99, 2.0**100)],
)
def test_the_scale_of_a_constant_matrix_is_1_unless_its_numbers_are_far_from_it(value, scale):
    constant = np.full((1_000, 7), value, np.float32)
    fitted = EmbeddingMatrix(constant).normalization
    assert fitted.scale == scale
    assert (fitted.centre == np.float32(value)).all()


def test_a_large_constant_column_does_not_hide_small_deviations(random):
    rows = np.concatenate([np.full((500, 1), 1e6), 1e-3 * random.normal(size=(500, 3))], axis=1)
    rows = rows.astype(np.float32)
    fitted = EmbeddingMatrix(rows).normalization
    assert fitted.scale == pytest.approx(np.sqrt(rows[:, 1:].var(axis=0).sum() / 4), rel=1e-3)
