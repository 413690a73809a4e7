"""The search for a step, against functions whose answer is known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.evaluate.step_search import StepSearch


def searched(function, search):
    while not search.is_over:
        u = search.next()
        assert search.low <= u <= search.high
        search.note(u, function(u))
    return search


@given(
    slope=st.floats(0.2, 5),
    bend=st.floats(0, 0.3),
    wanted=st.floats(-4, 4),
    guess=st.floats(-9, 9),
)
def test_a_rising_function_is_followed_to_what_is_wanted(slope, bend, wanted, guess):
    def function(u):
        return slope * (u + bend * math.sin(u))

    search = searched(function, StepSearch(wanted, -30, 30, guess, 1.0, 30, 0.02))
    u, y = search.best
    assert y <= wanted
    assert y >= wanted - 0.02 or function(u + 0.02) > wanted


def test_few_values_are_looked_at_with_a_good_guess():
    search = searched(lambda u: 1.1 * u + 0.02 * u * u, StepSearch(1, -9, 9, 0.8, 1.0, 8, 0.01))
    assert len(search.points) <= 3


def test_what_is_out_of_reach_is_told():
    search = searched(lambda u: u + 100, StepSearch(0, -5, 5, 3, 1.0, 8, 0.01))
    assert search.is_out_of_reach
    assert min(search.points)[0] == -5
    search = searched(lambda u: u - 100, StepSearch(0, -5, 5, 3, 1.0, 8, 0.01))
    assert search.best == (5, -95)


def test_the_limit_holds_once_something_is_small_enough():
    search = searched(lambda u: math.floor(u), StepSearch(0.5, -50, 50, 4, 1.0, 4, 1e-6))
    assert search.best is not None
    assert len(search.points) <= 8


def test_where_values_waver_the_search_ends():
    wavering = iter([0.3, -0.2, 0.1, -0.1] * 10)
    search = searched(lambda u: u + next(wavering), StepSearch(0, -9, 9, 0.0, 1.0, 30, 0.05))
    assert len(search.points) < 15
    assert search.best[0] == pytest.approx(0, abs=0.4)
