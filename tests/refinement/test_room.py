"""What refinement takes, forecast against what it does, and what there is no room for."""

import tracemalloc

import numpy as np
import pytest

import nncompress
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.refinement import room
from nncompress.refinement.engines import make_engine
from nncompress.refinement.refine import (
    RefinementSettings,
    improve_codes,
    prepare_rows,
    quantize,
)
from nncompress.refinement.room import no_room, refinement_bytes
from nncompress.sources import EmbeddingMatrix

M, K = 6, 200


@pytest.fixture
def rows(random):
    return EmbeddingMatrix(random.normal(size=(300, 8)).astype(np.float32))


def little_memory(monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: 1_000)


def test_a_pass_takes_about_the_memory_that_is_forecast(rows, random):
    codes = random.integers(K, size=(300, M)).astype(np.uint8)
    codebook = random.normal(size=(M * K, 8)).astype(np.float32)
    coded = prepare_rows(rows, codes, codebook, None, 0, make_engine(Machine(threads=1)))
    coded.search(1)  # whose kernel is compiled then
    tracemalloc.start()
    coded.search(1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pairs = 16 * (M * K) ** 2
    # The solver's own copy, half of it, is not seen here.
    assert 0.5 * pairs < most < 1.3 * refinement_bytes(300, 8, M * K)


def test_what_does_not_fit_is_told_with_numbers(monkeypatch):
    little_memory(monkeypatch)
    reason = no_room(100, 8, 20_000, Machine())
    assert f"{refinement_bytes(100, 8, 20_000):,} bytes of memory, but 1,000 are free" in reason
    monkeypatch.setattr(room, "free_memory", lambda: None)
    assert no_room(100, 8, 20_000, Machine()) is None


def test_a_time_budget_below_a_few_solutions_is_too_short(monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: 1 << 50)
    assert "the time budget is 1e-06" in no_room(100, 8, 20_000, Machine(), 1e-6)
    assert no_room(100, 8, 20_000, Machine(), 1e9) is None


def test_a_table_that_cannot_be_refined_stays_as_trained(rows, monkeypatch):
    little_memory(monkeypatch)
    options = {"num_codebooks": 4, "num_codewords": 8, "epochs": 2, "report": None}
    with pytest.warns(UserWarning, match="1,000 are free: codes and codebook are not refined"):
        made = nncompress.compress(rows.take(np.arange(300)), **options)
    assert not made.provenance["refined"]


def test_what_has_no_other_way_is_refused(rows, monkeypatch):
    little_memory(monkeypatch)
    with pytest.raises(InputError, match="1,000 are free; wanted a smaller M or K"):
        quantize(rows, 4, 8)
    codes, codebook = np.zeros((300, 4), np.uint8), np.zeros((32, 8), np.float32)
    with pytest.raises(InputError, match="1,000 are free; wanted a smaller M or K"):
        improve_codes(rows, codes, codebook)


def test_more_than_8192_codewords_are_refined(random):
    matrix = random.normal(size=(60, 4)).astype(np.float32)
    codebook = random.normal(size=(2 * 4_200, 4)).astype(np.float32)
    codes = np.zeros((60, 2), np.uint16)
    found = improve_codes(
        EmbeddingMatrix(matrix), codes, codebook, settings=RefinementSettings(rounds=0, trials=1)
    )
    nearest = codebook[found[:, 0]] + codebook[4_200 + found[:, 1]]
    assert ((matrix - nearest) ** 2).sum(axis=1).max() < 0.1
