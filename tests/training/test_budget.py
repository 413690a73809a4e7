"""Time that is shared out, with a clock and a rate that the test sets."""

import pytest

from nncompress.autoencoder.size import num_parameters
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.refinement.refine import RefinementSettings
from nncompress.sources import EmbeddingMatrix
from nncompress.training import budget, rate
from nncompress.training.budget import Budget
from nncompress.training.settings import TrainingOptions


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(budget, "seconds_a_step", lambda *arguments: 0.01)
    return now


def test_without_a_budget_nothing_changes(matrix):
    settings = TrainingOptions().resolve(300, 4, 8)
    refinement = RefinementSettings()
    for recipe in ("fast", "paper"):
        free = Budget(None, recipe)
        rows = EmbeddingMatrix(matrix)
        assert free.shortened(settings, rows, Machine(), True) is settings
        assert free.rest(refinement) is refinement


def test_training_and_encoding_take_a_fourth_and_refinement_the_rest(clock, matrix):
    settings = TrainingOptions().resolve(300, 4, 8)
    shared = Budget(20, "fast")
    clock[0] = 4.0
    short = shared.shortened(settings, EmbeddingMatrix(matrix), Machine(), True)
    encoding = 0.5 * 0.01 * 300 / settings.batch_size
    assert short.iterations == int((16 / 4 - encoding) / 0.01)
    alone = shared.shortened(settings, EmbeddingMatrix(matrix), Machine(), False)
    assert alone.iterations == int((16 - encoding) / 0.01)
    clock[0] = 11.0
    assert shared.rest(RefinementSettings()).seconds == 9
    clock[0] = 99.0
    assert 0 < shared.rest(RefinementSettings()).seconds < 0.1
    assert shared.shortened(settings, EmbeddingMatrix(matrix), Machine(), True).iterations == 1


def test_training_is_never_longer_than_without(clock, matrix):
    settings = TrainingOptions(epochs=2).resolve(300, 4, 8)
    shared = Budget(1e6, "fast")
    assert shared.shortened(settings, EmbeddingMatrix(matrix), Machine(), True) == settings


def test_recipes_of_one_length_have_no_budget():
    with pytest.raises(InputError, match="the recipe authors has a fixed length"):
        Budget(9, "authors")


def test_a_large_autoencoder_is_told_by_a_smaller_one(matrix, monkeypatch):
    made = []
    make = rate.make_session

    def noted(rows, settings, machine):
        made.append(num_parameters(12, settings.num_codebooks, settings.num_codewords))
        return make(rows, settings, machine)

    monkeypatch.setattr(rate, "make_session", noted)
    monkeypatch.setattr(rate, "_TIMED", 0.01)
    for size in ((4, 8), (192, 256), (3, 65_536)):
        settings = TrainingOptions().resolve(300, *size)
        assert rate.seconds_a_step(EmbeddingMatrix(matrix), settings, Machine()) > 0
    assert made[0] == num_parameters(12, 4, 8)
    assert max(made) <= 2_000_000
