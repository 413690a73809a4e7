"""A quantizer of rows: rates and errors, row weights, and what results do not depend on."""

import numpy as np
import pytest

from nncompress.cpu.level_counts import choose_classes
from nncompress.machine import Machine, Team
from nncompress.sources import EmbeddingMatrix
from nncompress.trellis import stage
from nncompress.trellis.engines import make_engine
from nncompress.trellis.quantizer import Settings, fit, step_exponents
from nncompress.trellis.scales import RATIO

ENGINE = make_engine(Machine(-1, 1))


@pytest.fixture
def rows(random):
    """600 rows of 24 dimensions, whose variances fall, and rows of different sizes."""
    rows = random.normal(size=(600, 24)) * 0.9 ** np.arange(24)
    return (rows * np.exp(0.4 * random.normal(size=(600, 1))) + 1).astype(np.float32)


def residual_of(rows, settings, threads=1, weights=None):
    matrix = stage.Remainder(EmbeddingMatrix(rows))
    return stage.make_residual(matrix, settings, Machine(threads=threads), weights)


def decoded(residual):
    total = np.zeros((residual.num_rows, len(residual.mean)), np.float32)
    residual.add_to(np.arange(residual.num_rows), total)
    return total


@pytest.mark.parametrize("block_rows", [1, 3])
def test_errors_and_bytes_are_those_foretold(rows, block_rows):
    settings = Settings(step=0.2, block_rows=block_rows, state_bits=6, cluster_bits=0)
    quantizer, _ = fit(rows, None, settings, ENGINE)
    coded = quantizer.code(rows, None, ENGINE)
    data, lengths = quantizer.write(coded, ENGINE)
    assert len(data) == lengths.sum()
    # The end of a block takes half a word more on average, and 2 bytes of the last state.
    extra = 8 * len(data) - coded.bits.sum()
    assert 0 < extra < 40 * len(lengths)
    residual = residual_of(rows, settings)
    errors = np.square(rows - decoded(residual), dtype=np.float64).sum(axis=1)
    np.testing.assert_allclose(errors.mean(), coded.errors.mean(), rtol=0.05)


def test_small_steps_come_closer_and_cost_more(rows):
    sizes, errors = [], []
    for step in (1.0, 0.3, 0.1, 0.01):
        residual = residual_of(rows, Settings(step=step, state_bits=6))
        sizes.append(len(residual.stream.data))
        errors.append(np.square(rows - decoded(residual)).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.4 * 0.01**2


def test_threads_and_tiles_change_nothing(rows, monkeypatch):
    settings = Settings(step=0.3, block_rows=3, state_bits=6)
    whole = residual_of(rows, settings)
    monkeypatch.setattr(stage, "_TILE_BYTES", 4 * 24 * 100)
    for threads in (1, 2, 3):
        again = residual_of(rows, settings, threads)
        assert whole.stream.data.tobytes() == again.stream.data.tobytes()
        assert whole.stream.lengths.tobytes() == again.stream.lengths.tobytes()


def test_steps_go_with_one_over_the_root_of_weights():
    weights = RATIO ** (-2.0 * np.arange(-10, 11))
    exponents = step_exponents(weights, 21)
    assert np.abs(exponents - np.arange(-10, 11)).max() <= 1  # to the nearest even one
    assert step_exponents(None, 3).tolist() == [0, 0, 0]
    assert step_exponents(np.array([0.0, np.inf]), 2).tolist() == [24, -24]


def test_rows_of_more_weight_come_closer(rows):
    weights = np.where(np.arange(600) % 2, RATIO**4, RATIO**-4)
    settings = Settings(step=0.2, state_bits=6)
    residual = residual_of(rows, settings, weights=weights)
    steps = np.unique(residual.tables.class_steps)
    np.testing.assert_allclose(steps, [0.2 * RATIO**-2, 0.2 * RATIO**2], rtol=1e-5)
    errors = np.square(rows - decoded(residual), dtype=np.float64).sum(axis=1)
    # The step counts squared, and the larger one's rounding is cut short by zeros.
    ratio = errors[::2].mean() / errors[1::2].mean()
    assert RATIO**6 < ratio < RATIO**9


def test_rows_that_are_all_the_same_are_their_mean():
    rows = np.ones((20, 5), np.float32)
    np.testing.assert_allclose(decoded(residual_of(rows, Settings(step=0.1))), rows, atol=1e-6)


def test_the_class_is_the_one_that_costs_least(random):
    look_up = random.random((10, 50)).astype(np.float32)
    rows = (random.normal(size=(70, 13)) * 4).astype(np.float32)
    axis_scales = random.integers(-30, 30, 13).astype(np.int32)
    offsets = np.array([-4, -3, 0, 7, 9], np.int32)
    fees = random.random(5).astype(np.float32)
    places = np.minimum((4 * np.abs(rows)).astype(int), 49)
    scales = np.clip(axis_scales + offsets[:, None], 0, 9)
    costs = fees + look_up[scales[None], places[:, None]].sum(axis=2, dtype=np.float64)
    for threads in (1, 2):
        chosen = choose_classes(rows, axis_scales, offsets, fees, look_up, Team(threads))
        assert chosen.tolist() == costs.argmin(axis=1).tolist()
