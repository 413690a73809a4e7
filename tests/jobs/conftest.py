"""Models learnt on small tables, for the tests of jobs."""

import numpy as np
import pytest

from nncompress.jobs import blocks
from nncompress.jobs.learning import learn_model
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.sources.open_rows import open_rows

ROWS, DIM = 3_000, 12
PLANS = {
    "codes": Plan.of(num_codebooks=4, num_codewords=8, epochs=5),
    "residuals": Plan.of(bits_per_dim=2.0),
    "both": Plan.of(num_codebooks=4, num_codewords=8, epochs=5, residual_bits=20),
    "adaptive": Plan.of(cosine=0.95),
    "directions": Plan.of(num_codebooks=4, num_codewords=8, epochs=5, objective="cosine"),
}
_models = {}


@pytest.fixture(scope="session")
def rows():
    random = np.random.default_rng(3)
    centres = random.normal(size=(40, DIM))
    rows = centres[random.integers(40, size=ROWS)] + 0.3 * random.normal(size=(ROWS, DIM))
    return (3.0 * rows + 1.0).astype(np.float32)


@pytest.fixture
def rows_path(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


@pytest.fixture
def model_of(rows):
    """Returns a model of a kind, learnt once on 1,000 of the rows."""

    def model_of(kind):
        if kind not in _models:
            plan = PLANS[kind]
            with open_rows(rows, unit_rows=plan.objective == "cosine") as source:
                _models[kind] = learn_model(source, plan, Machine(), num_rows=1_000)
        return _models[kind]

    return model_of


@pytest.fixture
def small_blocks(monkeypatch):
    """Has blocks of 128 rows."""
    monkeypatch.setattr(blocks, "_MOST_BLOCK_ROWS", 128)
