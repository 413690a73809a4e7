"""Signs of projections, against coordinate descent one number at a time."""

import numpy as np
import pytest

from nncompress.cpu import projected_signs
from nncompress.cpu.arena import on_a_line
from nncompress.cpu.panels import PANEL_BYTES
from nncompress.cpu.projected_signs import BLOCK
from nncompress.machine import Team


class Case:
    """Vectors in tiles, of which the last columns are not used, and projections in blocks."""

    def __init__(self, random, m, k, dtype):
        self.panel = PANEL_BYTES // np.dtype(dtype).itemsize
        self.rows = random.normal(size=(k, m)).astype(dtype)
        self.vectors = on_a_line((2, m, self.panel), dtype)
        self.vectors[...] = random.normal(size=self.vectors.shape)
        self.scratch = on_a_line((2, 2, BLOCK, self.panel), dtype)
        count = -(-k // BLOCK)
        self.grams = np.zeros((count, BLOCK, BLOCK), dtype)
        for gram, first in zip(self.grams, range(0, k, BLOCK), strict=True):
            some = self.rows[first : first + BLOCK]
            gram[: len(some), : len(some)] = some @ some.T

    def run(self, kernel, *arguments):
        Team(2).run(kernel, 2, *arguments, self.panel)


def sums(rows, x):
    return np.einsum("jm,tjp->tmp", rows, x)


def descend(rows, x, scales, left, share):
    """Sets one number after the other to the best one, tried in the objective itself."""
    x, left = x.copy(), left.copy()

    def objective(rest, number, weight):
        return (rest**2).sum(axis=1) - share * weight * number**2

    for j, row in enumerate(rows):
        step = scales[:, None] * row[:, None]
        weight = scales**2 * (row**2).sum()
        others = left + step * x[:, j][:, None]
        # The least of a parabola, or the better end of what is allowed where it has none in it.
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (others * step).sum(axis=1) / (weight * (1 - share))
        candidates = [np.ones_like(found), -np.ones_like(found)]
        if share < 1:
            candidates.append(np.clip(np.nan_to_num(found), -1, 1))
        values = [objective(others - step * c[:, None], c, weight) for c in candidates]
        best = np.choose(np.argmin(values, axis=0), candidates)
        x[:, j] = best
        left = others - step * best[:, None]
    return x, left


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "k"), [(30, 150), (40, 11), (1, 64), (500, 65)])
def test_rounds_are_coordinate_descent_in_the_objective(random, dtype, m, k):
    case = Case(random, m, k, dtype)
    wide = case.rows.astype(np.float64)
    left, x = on_a_line(case.vectors.shape, dtype), np.empty((2, k, case.panel), dtype)
    left[...] = case.vectors
    case.run(projected_signs.begin, case.rows, case.vectors, left, x, case.scratch)
    vectors = case.vectors.astype(np.float64)
    np.testing.assert_array_equal(x, np.where(np.einsum("jm,tmp->tjp", wide, vectors) >= 0, 1, -1))
    tolerance = 1e-10 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(left, vectors - sums(wide, x), atol=tolerance * np.sqrt(k))

    scales = np.ones((2, case.panel), dtype)
    case.run(projected_signs.rescale, case.vectors, left, scales)
    for share in (0.3, 0.9, 1.0):
        b = sums(wide, x)
        expected = (vectors * b).sum(axis=1) / (b * b).sum(axis=1)
        np.testing.assert_allclose(scales, expected, rtol=tolerance)
        np.testing.assert_allclose(left, vectors - scales[:, None] * b, atol=tolerance)
        given, before = x.astype(np.float64), left.astype(np.float64)
        case.run(
            projected_signs.improve, case.rows, case.grams, share, scales, left, x, case.scratch
        )
        wanted, rest = descend(wide, given, scales.astype(np.float64), before, share)
        if dtype == np.float64:
            np.testing.assert_allclose(x, wanted, atol=1e-8)
        else:  # a sign that was nearly a tie changes what follows it
            assert np.abs(x - wanted).mean() < 0.02
            found, best = (np.linalg.norm(r, axis=1).mean() for r in (left, rest))
            assert abs(found - best) < 0.02 * best
        case.run(projected_signs.rescale, case.vectors, left, scales)
    assert (np.abs(x) == 1).all()


def test_what_has_no_projections_or_no_length_stays(random):
    case = Case(random, 6, 9, np.float32)
    case.vectors[0, :, 1] = 0
    case.rows[4] = 0
    case.grams[0, 4, :] = case.grams[0, :, 4] = 0
    left, x = case.vectors.copy(), np.empty((2, 9, case.panel), np.float32)
    case.run(projected_signs.begin, case.rows, case.vectors, left, x, case.scratch)
    assert (x[:, 4] == 1).all()
    scales = np.ones((2, case.panel), np.float32)
    case.run(projected_signs.rescale, case.vectors, left, scales)
    assert scales[0, 1] == 0
    for share in (0.5, 1.0):
        case.run(
            projected_signs.improve, case.rows, case.grams, share, scales, left, x, case.scratch
        )
    assert (x[0, :, 1] == 1).all()
    assert (x[:, 4] == 1).all()
    assert not left[0, :, 1].any()
    assert np.isfinite(left).all()
