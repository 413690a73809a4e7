from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress.machine import Team
from nncompress.matrix import SimhashMatrixCompressor
from nncompress.matrix.methods import simhash_fit
from nncompress.matrix.methods.simhash import SEED, projection_blocks
from nncompress.matrix.methods.simhash_fit import fit


def compressor_of(rank):
    compressor = SimhashMatrixCompressor()
    compressor.get_spec().set_hparam("rank", rank)
    return compressor


def projections(m, k):
    """Returns R, float64 ``(m, k)``."""
    blocks = [block for _, block in projection_blocks(SEED, m, k)]
    return np.concatenate(blocks, axis=1).astype(np.float64)


def fitted(a, k, n_iterations, threads=1):
    return fit(a, partial(projection_blocks, SEED, len(a), k), k, n_iterations, Team(threads))


def product(a, signs, scales):
    return projections(len(a), len(signs)) @ np.where(signs, 1.0, -1.0) * scales


def error(a, signs, scales):
    return np.linalg.norm(a - product(a, signs, scales)) / np.linalg.norm(a)


def best_scales(a, sums):
    return (a * sums).sum(axis=0) / (sums**2).sum(axis=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_rounds_simhash_is_the_formula(random, monkeypatch, dtype):
    monkeypatch.setattr("nncompress.matrix.methods.simhash._BLOCK_BYTES", 4 * 30 * 7)
    a = random.normal(size=(30, 45)).astype(dtype)
    a[:, 3] = 0
    compressor = compressor_of(150)
    factors = compressor.static_matrix_compressor(a, n_iterations=0)
    signs, scales, seed = factors
    k = 30 * 100 // 150 + 1
    assert compressor.num_projections(a.shape) == k
    assert signs.shape == (3, 45)
    assert (scales.dtype, int(seed)) == (dtype, SEED)
    widths = [c.stop - c.start for c, _ in projection_blocks(SEED, 30, k)]
    assert widths == [7, 7, 7]
    r = projections(30, k)
    s = np.where(r.T @ a >= 0, 1.0, -1.0)
    np.testing.assert_array_equal(np.unpackbits(signs, axis=0, bitorder="little")[:k], s > 0)
    d = np.linalg.norm(a, axis=0) / np.linalg.norm(r @ s, axis=0)
    np.testing.assert_allclose(scales, d, rtol=1e-9 if dtype == np.float64 else 1e-5)
    link = compressor.make_factors(a.shape, a.dtype)
    link.assign(factors)
    np.testing.assert_allclose(link.matrix().array, r @ s * d, rtol=1e-4, atol=1e-6)
    assert link.stored_bytes == compressor.compressed_size


def test_one_round_is_coordinate_descent_on_signs(random):
    a = random.normal(size=(25, 70))
    signs, scales = fitted(a, 90, 1)
    r = projections(25, 90)
    s = np.where(r.T @ a >= 0, 1.0, -1.0)
    c = best_scales(a, r @ s)
    for j in range(90):
        kept, turned = s.copy(), s.copy()
        turned[j] *= -1
        far, near = (np.linalg.norm(a - r @ t * c, axis=0) for t in (kept, turned))
        s = np.where(near < far, turned, kept)
    np.testing.assert_array_equal(signs, s > 0)
    np.testing.assert_allclose(scales, best_scales(a, r @ s), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scales_are_those_of_least_squares(random, dtype):
    a = random.normal(size=(40, 33)).astype(dtype)
    signs, scales = fitted(a, 130, 5)
    expected = best_scales(a, projections(40, 130) @ np.where(signs, 1.0, -1.0))
    np.testing.assert_allclose(scales, expected, rtol=1e-9 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize(("shape", "k"), [((60, 40), 190), ((40, 60), 900), ((150, 20), 40)])
def test_more_rounds_come_nearer(random, shape, k):
    a = random.normal(size=shape).astype(np.float32)
    errors = [error(a, *fitted(a, k, rounds)) for rounds in (0, 1, 4, 30)]
    assert errors == sorted(errors, reverse=True)
    # No code of spheres' directions with so many bits comes nearer than 2^(-k / m) on average.
    assert errors[-1] > 2 ** (-k / len(a))
    if k > len(a):
        assert errors[-1] < 0.5 * errors[0]


def test_more_signs_come_nearer(random):
    a = random.normal(size=(20, 50))
    errors = [error(a, *fitted(a, k, 16)) for k in (5, 21, 101, 500)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


def test_signs_are_nearly_the_best_of_all(random):
    a = random.normal(size=(6, 40))
    r = projections(6, 12)
    every = np.where(np.arange(1 << 12)[:, None] >> np.arange(12) & 1, 1.0, -1.0) @ r.T
    cosines = every @ a / np.linalg.norm(every, axis=1)[:, None] / np.linalg.norm(a, axis=0)
    best = np.sqrt(1 - cosines.max(axis=0) ** 2)
    signs, scales = fitted(a, 12, 16)
    found = np.linalg.norm(a - product(a, signs, scales), axis=0) / np.linalg.norm(a, axis=0)
    plain = np.linalg.norm(a - product(a, *fitted(a, 12, 0)), axis=0) / np.linalg.norm(a, axis=0)
    assert (found >= best - 1e-9).all()
    assert found.mean() - best.mean() < 0.5 * (plain.mean() - best.mean())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_number_depends_on_threads_batches_or_memory(random, monkeypatch, dtype):
    a = random.normal(size=(37, 201)).astype(dtype)
    expected = fitted(a, 150, 3)

    def check(threads=1):
        for mine, other in zip(expected, fitted(a, 150, 3, threads), strict=True):
            np.testing.assert_array_equal(mine, other)

    for threads in (2, 3, 7):
        check(threads)
    monkeypatch.setattr(simhash_fit, "_BATCH_NUMBERS", 1)
    check()
    check(3)
    monkeypatch.setattr(simhash_fit, "free_memory", lambda: 0)
    monkeypatch.setattr("nncompress.matrix.methods.simhash._BLOCK_BYTES", 4 * 37 * 50)
    again = fitted(a, 150, 3)
    monkeypatch.setattr(simhash_fit, "free_memory", lambda: None)
    for mine, other in zip(fitted(a, 150, 3), again, strict=True):
        np.testing.assert_array_equal(mine, other)


def odd_matrices(random):
    some = random.normal(size=(30, 20))
    yield "columns of zeros", some * (np.arange(20) % 4 > 0)
    yield "rows of zeros", some * (np.arange(30) % 3 > 0)[:, None]
    yield "the same columns", some[:, random.integers(3, size=20)]
    yield "rank 1", np.outer(some[:, 0], some[0])
    yield "large and small columns", some * np.logspace(-37, 37, 20)
    yield "wide", some.T
    yield "one number", np.array([[-3.0]])
    yield "one row", some[:1]
    yield "one column", some[:, :1]
    yield "zeros", np.zeros((5, 7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [3, 100, 700])  # more, about as many, and fewer signs than rows
def test_odd_matrices_have_signs(random, dtype, rank):
    for name, a in odd_matrices(random):
        a = a.astype(dtype)
        compressor = compressor_of(rank)
        packed, scales, _ = compressor.static_matrix_compressor(a)
        k = compressor.num_projections(a.shape)
        assert packed.shape == (-(-k // 8), a.shape[1]), name
        assert (scales >= 0).all(), name
        lengths = np.linalg.norm(a.astype(np.float64), axis=0)
        np.testing.assert_array_equal(scales > 0, lengths > 0, err_msg=name)
        signs = np.unpackbits(packed, axis=0, bitorder="little")[:k] > 0
        rest = a - product(a, signs, scales.astype(np.float64))
        assert (np.linalg.norm(rest, axis=0) <= lengths * (1 + 1e-5)).all(), name
        if k > 10 * len(a):
            assert (np.linalg.norm(rest, axis=0) <= 0.15 * lengths).all(), name


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 80), st.integers(-60, 60))
def test_columns_are_fitted_by_themselves_whatever_their_scale(m, n, k, exponent):
    a = np.random.default_rng(m * n + k).normal(size=(m, n))
    signs, scales = fitted(a, k, 2)
    powers = np.ldexp(1.0, exponent * (np.arange(n) % 3 - 1))
    other_signs, other_scales = fitted((a * powers)[:, ::-1], k, 2)
    np.testing.assert_array_equal(other_signs[:, ::-1], signs)
    np.testing.assert_array_equal(other_scales[::-1], scales * powers)


def test_a_negative_number_of_rounds_is_refused():
    with pytest.raises(ValueError, match="n_iterations is -1; wanted 0 or more"):
        compressor_of(100).static_matrix_compressor(np.ones((3, 3), np.float32), n_iterations=-1)
