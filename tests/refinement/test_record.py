"""Refinement that is stopped and goes on, against refinement that is not."""

import numpy as np
import pytest

from nncompress.formats.work import WorkDirectory
from nncompress.refinement import refine as refinement
from nncompress.refinement import room
from nncompress.refinement.engines import cpu
from nncompress.refinement.refine import RefinementSettings, refine
from nncompress.sources import EmbeddingMatrix

K, GROUPS = 8, 4
SETTINGS = RefinementSettings(annealing_rounds=4, rounds=3, tolerance=-1.0)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(cpu, "_BLOCK_ROWS", 400)
    monkeypatch.setattr(room, "SAMPLE_ROWS", 500)
    monkeypatch.setattr(room, "BATCH_ROWS", 300)
    monkeypatch.setattr(room, "_ROWS_A_CODEWORD", 1)
    monkeypatch.setattr(refinement, "PROBE_ROWS", 200)
    monkeypatch.setattr(refinement, "PROBE_ROUNDS", 3)


def start_of(random, num_rows, dim):
    rows = random.normal(size=(num_rows, dim)) @ random.normal(size=(dim, dim))
    codes = random.integers(K, size=(num_rows, GROUPS)).astype(np.uint8)
    codebook = random.normal(size=(GROUPS * K, dim)).astype(np.float32)
    return EmbeddingMatrix(rows.astype(np.float32)), codes, codebook


@pytest.mark.parametrize("states", [1, 3, 7])
@pytest.mark.parametrize(
    ("num_rows", "dim", "name"),
    [
        (1_000, 3, "residual"), (1_000, 40, "annealed"),
        (450, 3, "residual"), (450, 40, "annealed"),
    ],
)  # fmt: skip
def test_wherever_it_is_stopped_it_comes_to_the_same_end(
    random, small, stop_and_go, tmp_path, states, num_rows, dim, name
):
    """Also where all rows are in the sample, whose record then may be that of the rows."""
    start = start_of(random, num_rows, dim)
    weights = random.uniform(0.5, 2.0, size=num_rows)
    whole = refine(*start, weights=weights, settings=SETTINGS)

    def job():
        with WorkDirectory.open(tmp_path / "w") as work:
            work.require({"seed": 0})
            return refine(*start, weights=weights, settings=SETTINGS, work=work)

    found, stops = stop_and_go(job, states)
    assert stops > 3
    assert found.start == whole.start
    assert found.start == name
    assert found.losses == whole.losses
    assert (found.codes == whole.codes).all()
    assert (found.codebook == whole.codebook).all()


def test_what_is_complete_is_not_computed_again(random, small, tmp_path, monkeypatch):
    start = start_of(random, 1_000, 40)
    with WorkDirectory.open(tmp_path / "w") as work:
        work.require({"seed": 0})
        whole = refine(*start, settings=SETTINGS, work=work)
        for name in ("relax", "improve", "search", "tally"):
            monkeypatch.setattr(cpu._CpuPass, name, None)
        again = refine(*start, settings=SETTINGS, work=work)
    assert (again.codes == whole.codes).all()
    assert (again.codebook == whole.codebook).all()
    assert again.losses == whole.losses


def test_what_is_damaged_is_computed_again(random, small, tmp_path):
    start = start_of(random, 1_000, 40)
    with WorkDirectory.open(tmp_path / "w") as work:
        work.require({"seed": 0})
        whole = refine(*start, settings=SETTINGS, work=work)
        for name in ("rows", "sample", "trained_rows"):
            work.state_path(name).write_bytes(b"?" * 100)
        with pytest.warns(UserWarning, match="is damaged"):
            again = refine(*start, settings=SETTINGS, work=work)
    assert (again.codes == whole.codes).all()
    assert (again.codebook == whole.codebook).all()
