import math
import warnings

import pytest

from nncompress import InputError, NotGoodEnough
from nncompress.errors import OutOfReach
from nncompress.evaluate.bootstrap import Figure
from nncompress.evaluate.gate import check, find_smallest
from nncompress.evaluate.report import Report, Score
from nncompress.evaluate.requirements import Requirements


def report_of(bits):
    """What a table of Gaussian rows would come to, and a score that falls with its error."""
    error = 2.0 ** (-2 * bits)
    figures = {"error": error, "cosine": math.sqrt(1 - min(error, 1)), "recall": 1 / (1 + error)}
    figures = {name: Figure(y, y, y) for name, y in figures.items()}
    change = Figure(-10 * error, 0, 0)
    return Report(figures, (Score("sts", "x", change, change, change, "9 pairs"),))


REQUIRED = [
    {"error": 0.1}, {"error": 1e-6}, {"cosine": 0.98}, {"recall": 0.9}, {"sts": -0.5},
    {"cosine": 0.9, "sts": -0.05, "recall": 0.5}, {"error": 0.3},
]  # fmt: skip


@pytest.mark.parametrize("required", REQUIRED)
def test_the_smallest_size_is_found_in_few_trials(required):
    asked, tried, lines = Requirements(required), [], []

    def make(bits):
        tried.append(bits)
        return bits

    found, report = find_smallest(make, report_of, asked, report=lines.append)
    fine = [0.05 * 1.001**i for i in range(6_600)]
    smallest = next(bits for bits in fine if asked.shortfall(report_of(bits)) <= 0)
    assert smallest <= found * 1.002
    assert found <= 1.06 * smallest
    assert report == report_of(found)
    assert len(tried) <= 9
    assert len(lines) == len(tried)
    assert any(line.startswith(f"{found:.4g} bits a dimension is enough: ") for line in lines)


def test_sizes_that_cannot_be_made_are_passed_over():
    def make(bits):
        if bits < 3:
            raise OutOfReach("too small")
        return bits

    lines = []
    found, _ = find_smallest(make, report_of, Requirements({"error": 0.5}), report=lines.append)
    assert 3 <= found < 3.3
    assert any(line.endswith("bits a dimension: cannot be so small") for line in lines)


def test_it_is_told_that_even_the_largest_falls_short():
    with pytest.raises(NotGoodEnough, match=r"even 4 bits a dimension falls short: error 0\.0039"):
        find_smallest(lambda b: b, report_of, Requirements({"error": 1e-9}), bounds=(0.1, 4.0))
    with pytest.raises(InputError, match="needs at least one requirement"):
        find_smallest(lambda b: b, report_of, Requirements())


def test_what_falls_short_is_refused_and_the_rest_passes():
    check(report_of(2), Requirements({"error": 0.1, "sts": -1}))
    check(report_of(2), Requirements())
    with pytest.raises(NotGoodEnough) as raised:
        check(report_of(1), Requirements({"error": 0.1, "sts": -1, "recall": 0.1}))
    assert str(raised.value) == (
        "falls short: error 0.25 (wanted at most 0.1); sts -2.5 (wanted a change of at least -1 "
        "points); nothing was written"
    )


def test_warnings_are_those_of_the_size_that_is_found():
    def make(bits):
        warnings.warn(f"made of {bits:.4g} bits", stacklevel=2)
        return bits

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, _ = find_smallest(make, report_of, Requirements({"error": 0.1}))
    assert [str(each.message) for each in caught] == [f"made of {found:.4g} bits"]
