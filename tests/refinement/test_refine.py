"""Refinement against its own objective, written out."""

import itertools

import numpy as np
import pytest

from nncompress.kernels import icm
from nncompress.refinement.least_squares import LeastSquares
from nncompress.refinement.refine import RefinementSettings, improve_codes, refine
from nncompress.sources import EmbeddingMatrix
from nncompress.threads import Team

M, K = 5, 8


def one_hot(codes, k=K):
    return np.eye(k)[codes].reshape(len(codes), -1)


def loss(matrix, codes, codebook, k=K):
    return 0.5 * ((matrix - one_hot(codes, k) @ codebook) ** 2).sum(axis=1).mean()


@pytest.fixture
def start(random, matrix):
    codes = random.integers(K, size=(300, M)).astype(np.uint8)
    codebook = random.normal(size=(M * K, 12)).astype(np.float32)
    return codes, codebook


def test_losses_are_those_of_the_result_and_never_rise(matrix, start):
    settings = RefinementSettings(rounds=8, tolerance=0.0)
    codes, codebook, losses = refine(EmbeddingMatrix(matrix), *start, settings=settings)
    assert codes.dtype == np.uint8
    assert codebook.dtype == np.float32
    exact = matrix.astype(np.float64)
    assert losses[-1] == pytest.approx(loss(exact, codes, codebook), rel=1e-5)
    history = [loss(exact, *start), *losses]
    assert all(later <= earlier * (1 + 1e-7) for earlier, later in itertools.pairwise(history))
    assert losses[-1] < 0.5 * losses[0]


def test_the_codebook_is_the_least_squares_one(matrix, start):
    codes, codebook, _ = refine(EmbeddingMatrix(matrix), *start)
    exact = matrix.astype(np.float64)
    best, *_ = np.linalg.lstsq(one_hot(codes), exact, rcond=None)
    assert loss(exact, codes, codebook) == pytest.approx(loss(exact, codes, best), rel=1e-5)


@pytest.mark.parametrize("k", [2, 8, 16, 20, 300])
def test_codes_end_where_no_single_change_helps(random, k):
    """ICM without perturbation, against trying every change of every row."""
    m, n = 4, 40
    matrix = random.normal(size=(n, 6)).astype(np.float32)
    codebook = random.normal(size=(m * k, 6)).astype(np.float32)
    codes = random.integers(k, size=(n, m)).astype(np.uint16)
    settings = RefinementSettings(rounds=1, trials=0, sweeps=100)
    found = improve_codes(EmbeddingMatrix(matrix), codes, codebook, settings=settings)
    residuals = matrix - one_hot(found, k) @ codebook
    before = ((matrix - one_hot(codes, k) @ codebook) ** 2).sum(axis=1)
    costs = (residuals**2).sum(axis=1)
    assert (costs <= before + 1e-4).all()
    for group in range(m):
        words = codebook[group * k : (group + 1) * k]
        others = residuals + words[found[:, group]]
        changed = ((others[:, None, :] - words[None]) ** 2).sum(axis=2)
        assert (costs <= changed.min(axis=1) + 1e-3).all()


def test_perturbations_help_and_never_hurt_a_row(matrix, start):
    _, codebook, _ = refine(EmbeddingMatrix(matrix), *start)

    def costs(codes):
        return ((matrix - one_hot(codes) @ codebook) ** 2).sum(axis=1)

    without, few, many = (
        costs(
            improve_codes(
                EmbeddingMatrix(matrix), start[0], codebook,
                settings=RefinementSettings(rounds=1, trials=trials),
            )
        )
        for trials in (0, 4, 40)
    )  # fmt: skip
    assert (few <= without + 1e-3).all()
    assert (many <= few + 1e-3).all()
    assert many.sum() < few.sum() < without.sum()


def test_threads_and_blocks_change_nothing_and_seeds_do(matrix, start):
    def run(seed, threads):
        return refine(EmbeddingMatrix(matrix), *start, seed=seed, threads=threads)

    codes, codebook, losses = run(3, 1)
    for threads in (2, 3):
        other_codes, other_codebook, other_losses = run(3, threads)
        assert (codes == other_codes).all()
        assert (codebook == other_codebook).all()
        assert losses == other_losses
    assert (run(4, 1)[0] != codes).any()


def test_counts_and_sums_are_those_of_one_hot_codes(matrix, start):
    codes, codebook = start
    equations = LeastSquares(M * K, 12)
    for part in (slice(0, 100), slice(100, 300)):
        Team(2).run(
            icm.tally, 2, matrix[part], codes[part].astype(np.int32), K,
            equations.counts, equations.sums,
        )  # fmt: skip
    equations.squares, equations.num_rows = float((matrix.astype(np.float64) ** 2).sum()), 300
    indicators = one_hot(codes)
    assert (equations._full_counts() == indicators.T @ indicators).all()
    np.testing.assert_allclose(equations.sums, indicators.T @ matrix, rtol=1e-6, atol=1e-4)
    assert equations.loss(codebook) == pytest.approx(loss(matrix, codes, codebook), rel=1e-6)


def test_unused_codewords_come_into_use(matrix, random):
    codes = np.zeros((300, M), np.uint8)
    codebook = np.zeros((M * K, 12), np.float32)
    codebook[::K] = random.normal(size=(M, 12))
    codebook[1::K] = 1e3  # so far away that no row takes them up
    for k in range(2, K):
        codebook[k::K] = 1e3
    settings = RefinementSettings(rounds=15, tolerance=-1.0)
    found, _, losses = refine(EmbeddingMatrix(matrix), codes, codebook, settings=settings)
    used = sum(len(np.unique(found[:, group])) for group in range(M))
    assert used > M * K // 2
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((20, 4)),
        np.full((20, 4), 7.5),
        np.ones((1, 4)),
        np.logspace(-6, 6, 40)[:, None] * np.ones((40, 4)),
        np.concatenate(
            [np.full((50, 1), 1e6), np.random.default_rng(0).normal(size=(50, 3))], axis=1
        ),
    ],
)
def test_odd_matrices_stay_finite_and_do_not_get_worse(rows, random):
    matrix = rows.astype(np.float32)
    codes = random.integers(K, size=(len(matrix), M)).astype(np.uint8)
    codebook = (matrix.mean(axis=0) / M + 0.1 * random.normal(size=(M * K, 4))).astype(np.float32)
    found, better, _ = refine(EmbeddingMatrix(matrix), codes, codebook)
    assert np.isfinite(better).all()
    assert loss(matrix, found, better) <= loss(matrix, codes, codebook) * (1 + 1e-5) + 1e-6
