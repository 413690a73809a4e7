"""Codes for a fixed codebook: whatever the block, the threads or the moment."""

import itertools

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.refinement import encoding
from nncompress.refinement.encoding import EFFORTS, Effort, RowEncoder
from nncompress.refinement.engines import make_engine
from nncompress.refinement.refine import quantize
from nncompress.refinement.rows import CodedRows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.normalization import Normalization

M, K, DIM = 6, 16, 40
FAR = 1 << 32


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(5)
    mixed = random.normal(size=(700, DIM)) @ random.normal(size=(DIM, DIM)) + 3
    return mixed.astype(np.float32)


@pytest.fixture(scope="module")
def learnt(rows):
    return quantize(EmbeddingMatrix(rows[:500]), M, K)


@pytest.fixture
def encoder_of(rows, learnt):
    normalization = EmbeddingMatrix(rows[:500]).normalization

    def make(effort="quick", seed=3, threads=2):
        how = effort, seed, Machine(threads=threads)
        return RowEncoder(learnt.codebook, M, normalization, learnt.losses[-1], *how)

    return make


def reconstructions(codes, codebook):
    size = codebook.shape[0] // codes.shape[1]
    units = codes + size * np.arange(codes.shape[1])
    return codebook.astype(np.float64)[units].sum(axis=1)


def squared_errors(rows, codes, codebook):
    return ((rows - reconstructions(codes, codebook)) ** 2).sum(axis=1)


@pytest.mark.parametrize("effort", EFFORTS)
def test_codes_depend_on_no_block_thread_or_moment(rows, encoder_of, effort, monkeypatch):
    rows = rows[:300]
    encoder = encoder_of(effort)
    whole = encoder.encode(rows, 1_000)
    assert whole.dtype == np.uint8
    assert whole.shape == (300, M)
    for bounds in ([0, 1, 2, 17, 299, 300], [0, 150, 300], range(0, 301, 20)):
        parts = [
            encoder.encode(rows[first:end], 1_000 + first)
            for first, end in itertools.pairwise(bounds)
        ]
        assert np.array_equal(np.concatenate(parts), whole)
    for threads in (1, 3):
        assert np.array_equal(encoder_of(effort, threads=threads).encode(rows, 1_000), whole)
    monkeypatch.setattr(encoding, "_BLOCK_ROWS", 64)
    backwards = encoder_of(effort)
    last = backwards.encode(rows[130:], 1_130)
    assert np.array_equal(np.concatenate([backwards.encode(rows[:130], 1_000), last]), whole)


def test_rows_of_other_numbers_and_seeds_draw_other_samples(rows, encoder_of):
    codes = encoder_of().encode(rows, 0)
    assert (encoder_of().encode(rows, 7) != codes).any()
    assert (encoder_of(seed=4).encode(rows, 0) != codes).any()


@pytest.mark.parametrize("first_row", [FAR - 100, FAR + 5, 10 * FAR + 17, (1 << 62) + 1])
def test_row_numbers_go_beyond_a_word(rows, encoder_of, first_row):
    encoder = encoder_of()
    whole = encoder.encode(rows[:200], first_row)
    parts = [
        encoder.encode(rows[first : first + 50], first_row + first) for first in range(0, 200, 50)
    ]
    assert np.array_equal(np.concatenate(parts), whole)
    assert encoder.errors(rows[:200], whole).mean() < 1.1 * encoder.errors(
        rows[:200], encoder.encode(rows[:200], 0)
    ).mean()  # fmt: skip


@pytest.mark.parametrize("effort", EFFORTS)
def test_errors_are_squared_distances(rows, learnt, encoder_of, effort):
    encoder = encoder_of(effort)
    codes = encoder.encode(rows, 0)
    errors = encoder.errors(rows, codes)
    assert errors.dtype == np.float64
    np.testing.assert_allclose(
        errors, squared_errors(rows, codes, learnt.codebook), rtol=1e-4, atol=1e-5
    )


def test_more_effort_is_no_worse(rows, encoder_of):
    others = rows[500:]
    quick, default, thorough = (
        encoder.errors(others, encoder.encode(others, 500)).mean()
        for encoder in map(encoder_of, EFFORTS)
    )
    assert thorough <= default <= quick
    # With one sample more and less, the same.
    trials = [
        encoder.errors(others, encoder.encode(others, 500)).mean()
        for encoder in (encoder_of(Effort(trials, 1, 1)) for trials in (0, 2, 8, 40))
    ]
    assert sorted(trials, reverse=True) == trials


@pytest.mark.parametrize("k", [4, 5, 300])
def test_a_quick_look_is_a_greedy_choice_and_samples_after_it(random, k):
    """The fused kernel against the passes that it stands for."""
    codebook = random.normal(size=(4 * k, 7)).astype(np.float32)
    codebook[::k] += (
        20  # so that the codes which beam search begins with are never the better ones
    )
    rows = random.normal(size=(90, 7)).astype(np.float32)
    normalization, loss = Normalization.identity(7), 0.4
    codes = RowEncoder(codebook, 4, normalization, loss, Effort(3, 1, 1), 9).encode(rows, 0)
    plain = CodedRows(
        EmbeddingMatrix(rows), np.ones(90), normalization, np.zeros((90, 4), np.uint16),
        codebook.astype(np.float64), 9, make_engine(Machine()), passes=-1,
    )  # fmt: skip
    plain.search(1, solve=False)
    plain.improve(3, 2.3 * 4 * loss / 7, solve=False)
    assert (codes == plain.codes).mean() > 0.99


@pytest.mark.parametrize(("effort", "share"), [("quick", 0.95), ("default", 1), ("thorough", 1)])
def test_tiny_codebooks_are_searched_as_well_as_by_trying_everything(random, effort, share):
    codebook = random.normal(size=(8, 5)).astype(np.float32)
    rows = random.normal(size=(200, 5)).astype(np.float32)
    pairs = np.array(list(itertools.product(range(4), range(4))))
    all_errors = np.stack([
        squared_errors(rows, np.tile(pair, (200, 1)), codebook) for pair in pairs
    ], axis=1)  # fmt: skip
    encoder = RowEncoder(codebook, 2, Normalization.identity(5), 1.0, effort)
    found = squared_errors(rows, encoder.encode(rows, 0), codebook)
    assert np.isclose(found, all_errors.min(axis=1), rtol=1e-4, atol=1e-4).mean() >= share


@pytest.mark.parametrize("effort", [Effort(0, 1, 1), Effort(2, 4, 4), EFFORTS["thorough"]])
def test_codes_to_start_from_become_no_worse(rows, encoder_of, effort):
    best = encoder_of("thorough").encode(rows[:100], 0)
    encoder = encoder_of(effort)
    before = encoder.errors(rows[:100], best)
    after = encoder.errors(rows[:100], encoder.encode(rows[:100], 50, best))
    assert (after <= before * (1 + 1e-5) + 1e-5).all()


def test_sums_of_blocks_give_the_least_squares_codebook(rows, encoder_of):
    encoder = encoder_of()
    codes = encoder.encode(rows, 0)
    blocks = [encoder.block_sums(rows[part], codes[part]) for part in (np.s_[:90], np.s_[90:])]
    sums = blocks[0] + blocks[1]
    chosen = np.eye(K)[codes].reshape(len(rows), -1)
    assert np.array_equal(np.tril(sums.counts), np.tril(chosen.T @ chosen))
    assert np.array_equal(sums.used, chosen.any(axis=0))
    assert sums.weight == len(rows)
    codebook, loss = encoder.solve(sums)
    best, *_ = np.linalg.lstsq(chosen, rows.astype(np.float64), rcond=None)
    ours, wanted = ((rows - chosen @ words) ** 2 for words in (codebook, best))
    assert ours.sum() == pytest.approx(wanted.sum(), rel=1e-4)
    assert loss == pytest.approx(0.5 * ours.sum() / len(rows), rel=1e-4)
    assert ours.sum() < encoder.errors(rows, codes).sum()


def test_a_fit_without_rows_leaves_the_codebook(rows, learnt, encoder_of):
    encoder = encoder_of()
    codes = encoder.encode(rows[:1], 0)
    sums = encoder.block_sums(rows[:1], codes)
    unused = ~sums.used
    codebook, _ = encoder.solve(sums)
    np.testing.assert_allclose(codebook[unused], learnt.codebook[unused], rtol=1e-3, atol=1e-4)


def test_no_rows_have_no_codes(rows, encoder_of):
    assert encoder_of().encode(rows[:0], 0).shape == (0, M)
    assert encoder_of().errors(rows[:0], np.zeros((0, M), np.uint8)).shape == (0,)


def test_rows_that_do_not_fit_are_refused(rows, learnt, encoder_of):
    encoder = encoder_of()
    with pytest.raises(InputError, match="rows of 40 columns"):
        encoder.encode(rows[:, :5], 0)
    broken = rows[:9].copy()
    broken[4, 2] = np.nan
    with pytest.raises(InputError, match="row 4 of the block has a number that is not finite"):
        encoder.encode(broken, 0)
    how = learnt.codebook, 7, EmbeddingMatrix(rows).normalization
    with pytest.raises(InputError, match="96 codewords cannot form 7 groups"):
        RowEncoder(*how, 1.0)
    with pytest.raises(InputError, match="'slow'; wanted one of quick, default, thorough"):
        encoder_of("slow")
    with pytest.raises(InputError, match="the loss of the codebook is nan"):
        RowEncoder(learnt.codebook, M, how[2], np.nan)
