"""Refinement against its own objective, written out."""

import itertools

import numpy as np
import pytest

from nncompress.cpu import tally
from nncompress.errors import InputError
from nncompress.machine import Machine, Team
from nncompress.refinement import room
from nncompress.refinement.engines.cpu import CpuEngine
from nncompress.refinement.least_squares import LeastSquares
from nncompress.refinement.refine import RefinementSettings, improve_codes, refine
from nncompress.refinement.rows import CodedRows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization

M, K = 5, 8


def one_hot(codes, k=K):
    return np.eye(k)[codes].reshape(len(codes), -1)


def loss(matrix, codes, codebook, k=K):
    return 0.5 * ((matrix - one_hot(codes, k) @ codebook) ** 2).sum(axis=1).mean()


def coded_rows(matrix, codes, codebook):
    return CodedRows(
        EmbeddingMatrix(matrix),
        np.ones(len(matrix)),
        Normalization.identity(matrix.shape[1]),
        codes.copy(),
        codebook.astype(np.float64),
        0,
        CpuEngine(Team(2)),
    )


@pytest.fixture
def start(random, matrix):
    codes = random.integers(K, size=(300, M)).astype(np.uint8)
    codebook = random.normal(size=(M * K, 12)).astype(np.float32)
    return codes, codebook


def test_losses_are_those_of_the_result_and_never_rise(matrix, start):
    settings = RefinementSettings(rounds=8, tolerance=0.0)
    refined = refine(EmbeddingMatrix(matrix), *start, settings=settings)
    codes, codebook, losses = refined.codes, refined.codebook, refined.losses
    assert codes.dtype == np.uint8
    assert codebook.dtype == np.float32
    exact = matrix.astype(np.float64)
    assert losses[-1] == pytest.approx(loss(exact, codes, codebook), rel=1e-5)
    history = [loss(exact, *start), *losses]
    assert all(later <= earlier * (1 + 1e-7) for earlier, later in itertools.pairwise(history))
    assert losses[-1] < 0.5 * history[0]


def test_the_codebook_is_the_least_squares_one(matrix, start):
    refined = refine(EmbeddingMatrix(matrix), *start)
    codes, codebook = refined.codes, refined.codebook
    exact = matrix.astype(np.float64)
    best, *_ = np.linalg.lstsq(one_hot(codes), exact, rcond=None)
    assert loss(exact, codes, codebook) == pytest.approx(loss(exact, codes, best), rel=1e-5)


@pytest.mark.parametrize("k", [2, 8, 16, 20, 300])
def test_codes_end_where_no_single_change_helps(random, k):
    """ICM without samples, against trying every change of every row."""
    m, n = 4, 40
    matrix = random.normal(size=(n, 6)).astype(np.float32)
    codebook = random.normal(size=(m * k, 6)).astype(np.float32)
    codes = random.integers(k, size=(n, m)).astype(np.uint16)
    settings = RefinementSettings(rounds=25, trials=0)
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


def test_samples_help_and_never_hurt_a_row(matrix, start):
    codebook = refine(EmbeddingMatrix(matrix), *start).codebook

    def costs(trials):
        rows = coded_rows(matrix, start[0], codebook)
        rows.measure()
        rows.improve(trials, 2 * rows.temperature, solve=False)
        return ((matrix - one_hot(rows.codes) @ codebook) ** 2).sum(axis=1)

    without, few, many = costs(0), costs(4), costs(40)
    assert (few <= without + 1e-3).all()
    assert (many <= few + 1e-3).all()
    assert many.sum() < few.sum() < without.sum()


def test_samples_follow_the_boltzmann_distribution(random):
    """One sweep over one group draws exp(-cost/T), whatever the code was."""
    k, n, temperature = 6, 40_000, 1.5
    codebook = random.normal(size=(k, 3)).astype(np.float32)
    row = random.normal(size=3).astype(np.float32)
    rows = coded_rows(np.tile(row, (n, 1)), np.zeros((n, 1), np.uint8), codebook)
    rows.relax([temperature], solve=False)
    frequencies = np.bincount(rows.codes[:, 0], minlength=k) / n
    costs = ((row - codebook) ** 2).sum(axis=1)
    expected = np.exp(-(costs - costs.min()) / temperature)
    np.testing.assert_allclose(frequencies, expected / expected.sum(), atol=0.02)


def test_a_wide_enough_beam_finds_the_best_codes_of_all(random):
    m, k, n = 3, 5, 50
    matrix = random.normal(size=(n, 4)).astype(np.float32)
    codebook = random.normal(size=(m * k, 4)).astype(np.float32)
    codes = random.integers(k, size=(n, m)).astype(np.uint8)
    rows = coded_rows(matrix, codes, codebook)
    rows.search(k**m, solve=False)
    choices = np.array(list(itertools.product(range(k), repeat=m)))
    distances = ((matrix[:, None] - one_hot(choices, k) @ codebook) ** 2).sum(axis=2)
    found = ((matrix - one_hot(rows.codes, k) @ codebook) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, distances.min(axis=1), rtol=1e-4, atol=1e-4)


def test_a_narrow_beam_never_hurts_a_row(matrix, start):
    codes, codebook = start
    before = ((matrix - one_hot(codes) @ codebook) ** 2).sum(axis=1)
    rows = coded_rows(matrix, codes, codebook)
    for width in (1, 2, 5):
        rows.search(width, solve=False)
        after = ((matrix - one_hot(rows.codes) @ codebook) ** 2).sum(axis=1)
        assert (after <= before + 1e-3).all()
        before = after


def test_rows_of_many_bits_begin_from_residual_codebooks_and_others_are_annealed(random):
    """Three bits for each dimension, and a quarter of one."""
    wide = random.normal(size=(2_000, 60)).astype(np.float32)
    plain = RefinementSettings(annealing_rounds=0)
    for dim, groups, name in ((6, 6, "residual"), (60, 5, "annealed")):
        matrix = EmbeddingMatrix(np.ascontiguousarray(wide[:, :dim]))
        codes = random.integers(K, size=(len(matrix), groups)).astype(np.uint8)
        codebook = random.normal(size=(groups * K, dim)).astype(np.float32)
        trained = refine(matrix, codes, codebook, settings=plain)
        assert trained.start == "trained"
        refined = refine(matrix, trained.codes, trained.codebook)
        assert refined.start == name
        assert refined.losses[-1] < 0.99 * trained.losses[-1]


def test_codebooks_found_on_a_sample_serve_all_rows(random, monkeypatch):
    monkeypatch.setattr(room, "SAMPLE_ROWS", 1_000)
    matrix = random.normal(size=(3_000, 20)) @ random.normal(size=(20, 20))
    matrix = matrix.astype(np.float32)
    codes = random.integers(K, size=(3_000, M)).astype(np.uint8)
    codebook = random.normal(size=(M * K, 20)).astype(np.float32)
    from_sample = refine(EmbeddingMatrix(matrix), codes, codebook)
    monkeypatch.setattr(room, "SAMPLE_ROWS", 10_000)
    from_all = refine(EmbeddingMatrix(matrix), codes, codebook)
    assert from_sample.losses[-1] == pytest.approx(from_all.losses[-1], rel=0.08)


def test_weights_move_the_loss_to_where_they_are(matrix, start):
    weights = np.where(np.arange(300) < 30, 50.0, 1.0)
    exact = matrix.astype(np.float64)

    def errors(refined):
        return ((exact - one_hot(refined.codes) @ refined.codebook) ** 2).sum(axis=1)

    plain = refine(EmbeddingMatrix(matrix), *start)
    weighted = refine(EmbeddingMatrix(matrix), *start, weights=weights)
    assert errors(weighted)[:30].mean() < 0.7 * errors(plain)[:30].mean()
    assert weighted.losses[-1] == pytest.approx(
        0.5 * np.average(errors(weighted), weights=weights), rel=1e-5
    )
    equal = refine(EmbeddingMatrix(matrix), *start, weights=np.full(300, 7.0))
    assert equal.losses == plain.losses


def test_time_is_kept(matrix, start):
    endless = RefinementSettings(annealing_rounds=10**9, rounds=10**9, tolerance=-1.0, seconds=1.0)
    assert refine(EmbeddingMatrix(matrix), *start, settings=endless).losses


def test_threads_and_blocks_change_nothing_and_seeds_do(matrix, start):
    def run(seed, threads):
        refined = refine(
            EmbeddingMatrix(matrix), *start, seed=seed, machine=Machine(threads=threads)
        )
        return refined.codes, refined.codebook, refined.losses

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
            tally.tally, 2, matrix[part], np.ones(len(matrix[part])),
            codes[part].astype(np.int32), K, equations.counts, equations.sums,
        )  # fmt: skip
    equations.squares, equations.weight = float((matrix.astype(np.float64) ** 2).sum()), 300.0
    indicators = one_hot(codes)
    assert (np.tril(equations.counts) == np.tril(indicators.T @ indicators)).all()
    np.testing.assert_allclose(equations.sums, indicators.T @ matrix, rtol=1e-6, atol=1e-4)
    assert equations.loss(codebook) == pytest.approx(loss(matrix, codes, codebook), rel=1e-6)


def test_unused_codewords_come_into_use(matrix, random):
    codes = np.zeros((300, M), np.uint8)
    codebook = np.zeros((M * K, 12), np.float32)
    codebook[::K] = random.normal(size=(M, 12))
    codebook[1::K] = 1e3  # so far away that no row takes them up
    for k in range(2, K):
        codebook[k::K] = 1e3
    settings = RefinementSettings(annealing_rounds=0, rounds=15, tolerance=-1.0)
    refined = refine(EmbeddingMatrix(matrix), codes, codebook, settings=settings)
    found, losses = refined.codes, refined.losses
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
    refined = refine(EmbeddingMatrix(matrix), codes, codebook)
    found, better = refined.codes, refined.codebook
    assert np.isfinite(better).all()
    assert loss(matrix, found, better) <= loss(matrix, codes, codebook) * (1 + 1e-5) + 1e-6


def test_a_gpu_that_is_not_there_is_refused(matrix, start):
    with pytest.raises(InputError, match="GPU 99 was requested"):
        refine(EmbeddingMatrix(matrix), *start, machine=Machine(99))


def test_rows_without_weight_are_still_encoded(random):
    """Half of the rows count for nothing, in turn with the others."""
    matrix = random.normal(size=(2_000, 10)).astype(np.float32)
    weights = np.arange(2_000) % 2.0
    codes = random.integers(K, size=(2_000, 2)).astype(np.uint8)
    codebook = random.normal(size=(2 * K, 10)).astype(np.float32)
    refined = refine(EmbeddingMatrix(matrix), codes, codebook, weights=weights)
    errors = ((matrix - one_hot(refined.codes) @ refined.codebook) ** 2).sum(axis=1)
    assert errors[1::2].mean() <= errors[::2].mean() < (matrix**2).sum(axis=1).mean()
