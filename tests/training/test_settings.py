import itertools
import math

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.training.settings import TrainingOptions


def test_the_paper_recipe_is_that_of_the_chainer_port():
    settings = TrainingOptions(recipe="paper").resolve(400_000, 32, 16)
    assert settings.iterations == 1_250_000
    assert (settings.batch_size, settings.optimizer, settings.max_grad_norm) == (64, "Adam", None)
    for iteration in (0, 1000, 1_249_999):
        assert settings.learning_rate_at(iteration) == 1e-4
        assert settings.tau_at(iteration) == pytest.approx(0.1)


def test_the_authors_code_has_tau_1_and_clips():
    settings = TrainingOptions(recipe="authors").resolve(100, 32, 16)
    assert (settings.tau_at(0), settings.tau_at(50), settings.max_grad_norm) == (1.0, 1.0, 0.001)
    assert settings.iterations == 200 * 2  # 64 rows, and the 36 that are left


def test_the_fast_recipe_anneals_tau_geometrically_and_the_rate_along_a_cosine():
    settings = TrainingOptions().resolve(20_000, 32, 16)
    last = settings.iterations - 1
    taus = [settings.tau_at(i) for i in range(settings.iterations)]
    assert taus[0] == pytest.approx(1.0)
    assert taus[last] == pytest.approx(0.1)
    ratios = [b / a for a, b in itertools.pairwise(taus)]
    assert max(ratios) - min(ratios) < 1e-12
    rates = [settings.learning_rate_at(i) for i in range(settings.iterations)]
    peak = rates.index(max(rates))
    assert 0 < peak <= 100
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[last // 2] == pytest.approx(2.5e-3, rel=0.01)
    assert 0 < rates[last] < 1e-6


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ({}, 1.0, 0.1),
        ({"tau": 0.5}, 0.5, 0.5),
        ({"tau_start": 2.0}, 2.0, 0.1),
        ({"tau": 0.2, "tau_start": 3.0}, 3.0, 0.2),
    ],
)
def test_tau_alone_fixes_it(given, start, end):
    settings = TrainingOptions(**given).resolve(5_000, 8, 16)
    assert settings.tau_at(0) == pytest.approx(start)
    assert settings.tau_at(settings.iterations - 1) == pytest.approx(end)
    assert settings.cosine


def test_epochs_set_the_passes_in_every_recipe():
    for recipe, steps in (("fast", 47), ("paper", 47), ("authors", 48)):
        settings = TrainingOptions(recipe=recipe, epochs=3, batch_size=64).resolve(1_000, 8, 16)
        assert settings.iterations == steps


def test_fast_chooses_steps_between_a_floor_and_a_cap():
    assert TrainingOptions().resolve(10, 8, 16).iterations == 4_000
    assert TrainingOptions().resolve(6_400, 8, 16).iterations == 5_000
    assert TrainingOptions().resolve(10**7, 8, 16).iterations == 12_000
    assert TrainingOptions().resolve(10, 8, 16).batch_size == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_codebooks": 0}, "M is 0"),
        ({"num_codewords": 1}, "K is 1"),
        ({"num_codewords": 65_537}, "K is 65537"),
        ({"tau": 0.0}, "tau is 0.0"),
        ({"tau": math.nan}, "tau is nan"),
        ({"tau_start": -1.0}, "starting tau is -1.0"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"epochs": -2}, "epochs is -2"),
        ({"learning_rate": 0.0}, "learning rate is 0.0"),
        ({"max_grad_norm": math.inf}, "clip to is inf"),
        ({"seed": -1}, "seed is -1"),
        ({"recipe": "slow"}, "recipe is 'slow'"),
        ({"optimizer": "LBFGS"}, "optimizer is 'LBFGS'"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    sizes = {"num_codebooks": 8, "num_codewords": 16}
    options = {name: value for name, value in changes.items() if name not in sizes}
    with pytest.raises(InputError, match=message):
        TrainingOptions(**options).resolve(10, **(sizes | changes if not options else sizes))


def test_the_largest_k_is_accepted():
    assert TrainingOptions().resolve(10, 1, 65_536).num_codewords == 65_536


@pytest.mark.parametrize(
    "given",
    [
        {"batch_size": 64.5}, {"batch_size": True}, {"epochs": "3"}, {"seed": 1.5}, {"tau": "1"},
        {"learning_rate": 10**400}, {"recipe": ["fast"]}, {"full_precision": 1},
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(given):
    with pytest.raises(InputError, match="wanted"):
        TrainingOptions(**given)


def test_numbers_of_numpy_are_numbers():
    options = TrainingOptions(batch_size=np.int32(8), learning_rate=np.float32(0.5))
    assert options.resolve(100, np.int64(4), 8).batch_size == 8
