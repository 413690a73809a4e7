"""The residual stage of whole tables."""

import numpy as np
import pytest

from nncompress.embedding.residual_table import ResidualTable
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.trellis.quantizer import Settings
from nncompress.trellis.stage import Remainder, make_residual

MACHINE = Machine(-1, 1)


def gaussian_rows(num_rows: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows along turned axes, and their variances along these."""
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    squares = 4.0 / np.arange(1, dim + 1)
    rows = rng.normal(size=(num_rows, dim)) * np.sqrt(squares) @ axes
    return rows.astype(np.float32), squares


def gaussian_error(squares: np.ndarray, bits: float) -> float:
    """Returns the least squared error of Gaussian rows at some bits (reverse water-filling)."""
    low, high = 1e-9, squares.max()
    for _ in range(60):
        level = np.sqrt(low * high)
        spent = 0.5 * np.log2(np.maximum(squares / level, 1)).sum()
        low, high = (level, high) if spent > bits else (low, level)
    return float(np.minimum(squares, level).sum())


def decoded(rows: np.ndarray, settings: Settings, weights=None) -> tuple[np.ndarray, float]:
    """Returns the rows as they are read back, and the bits of a row's levels."""
    residual = make_residual(Remainder(EmbeddingMatrix(rows)), settings, MACHINE, weights)
    table = ResidualTable(residual)
    return table.decode(slice(None)), 8 * len(residual.stream.data) / len(rows)


@pytest.mark.parametrize(("step", "most"), [(0.8, 1.4), (0.2, 1.35), (0.02, 1.35)])
def test_gaussian_rows_are_near_the_bound(step, most):
    rows, squares = gaussian_rows(3_000, 24)
    read, bits = decoded(rows, Settings(step, block_rows=16))
    error = np.square(read - rows, dtype=np.float64).sum(axis=1).mean()
    assert error < most * gaussian_error(squares, bits)
    assert error > 0.95 * gaussian_error(squares, bits)


def test_clusters_take_what_clusters_have():
    rng = np.random.default_rng(1)
    heaps = 5 * rng.normal(size=(16, 12))
    rows = (heaps[rng.integers(0, 16, 4_000)] + rng.normal(size=(4_000, 12))).astype(np.float32)
    plain, more = decoded(rows, Settings(0.3, block_rows=16, cluster_bits=0))
    read, bits = decoded(rows, Settings(0.3, block_rows=16, cluster_bits=4))
    errors = [np.square(each - rows).sum(axis=1).mean() for each in (plain, read)]
    assert errors[1] < 1.1 * errors[0]
    assert bits + 4 < more - 8


def test_neither_threads_nor_tiles_change_anything(monkeypatch):
    rows, _ = gaussian_rows(2_000, 16)
    settings = Settings(0.3, block_rows=4, cluster_bits=3)
    remainder = Remainder(EmbeddingMatrix(rows))
    one = make_residual(remainder, settings, MACHINE)
    monkeypatch.setattr("nncompress.trellis.stage._TILE_BYTES", 1 << 14)
    two = make_residual(remainder, settings, Machine(-1, 2))
    for part in ("data", "starts", "lengths"):
        np.testing.assert_array_equal(getattr(one.stream, part), getattr(two.stream, part))
    np.testing.assert_array_equal(one.centres.clusters, two.centres.clusters)


def test_many_weights_have_no_more_classes_than_a_byte_tells():
    rows, _ = gaussian_rows(2_000, 8)
    weights = np.exp(np.random.default_rng(3).normal(0, 4, 2_000))
    residual = make_residual(
        Remainder(EmbeddingMatrix(rows)), Settings(0.2), MACHINE, weights / weights.mean()
    )
    assert len(residual.tables.class_steps) <= 255


def test_a_row_beyond_all_levels_is_refused():
    rows, _ = gaussian_rows(500, 8)
    rows[7] *= 1e6
    with pytest.raises(InputError, match="quantization steps long"):
        decoded(rows, Settings(0.2))
