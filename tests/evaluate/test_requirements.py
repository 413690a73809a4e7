import pytest

from nncompress import InputError
from nncompress.evaluate.bootstrap import Figure
from nncompress.evaluate.report import Report, Score
from nncompress.evaluate.requirements import KINDS, Requirements


def figure(value):
    return Figure(value, value, value)


def score(task, change):
    return Score(task, "x", figure(80), figure(80 + change), figure(change), "9 pairs")


REPORT = Report(
    {name: figure(value) for name, value in
     {"error": 0.1, "cosine": 0.95, "cosine_worst": 0.8, "recall": 0.9, "kl": 0.02}.items()},
    (score("pairs", 1.0), score("pairs", -2.0), score("sts", -0.4), score("perplexity", 1.03)),
)  # fmt: skip
MET = "error=0.1,cosine=0.95,cosine_worst=0.8,recall=0.9,kl=0.02,pairs=-2,sts=-0.4,perplexity=1.03"


@pytest.mark.parametrize("part", MET.split(","))
def test_what_is_just_reached_is_enough_and_any_more_is_not(part):
    assert not Requirements.parse(part).unmet(REPORT)
    name, _, number = part.partition("=")
    stricter = float(number) * (1.01 if name in ("cosine", "cosine_worst", "recall") else 0.99)
    asked = Requirements({name: max(stricter, 1.0) if name == "perplexity" else stricter})
    assert asked.shortfall(REPORT) > 0 >= Requirements.parse(part).shortfall(REPORT)
    (line,) = asked.unmet(REPORT)
    assert line.startswith(f"{name} {float(number):.5g} (wanted ")


def test_all_that_falls_short_is_told():
    asked = Requirements.parse(" cosine = 0.99, sts=-0.5 ,error=0.05")
    assert asked.unmet(REPORT) == [
        "cosine 0.95 (wanted at least 0.99)", "error 0.1 (wanted at most 0.05)",
    ]  # fmt: skip
    assert str(asked) == "cosine=0.99,sts=-0.5,error=0.05"
    assert "sts -0.4 (wanted a change of at least -0.5 points)" in asked.tell(REPORT)
    assert not Requirements.parse(None)
    assert Requirements.parse("sts=-1,cosine=0.5").is_of_directions
    assert not asked.is_of_directions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin=0.9", "--require 'cosin'; wanted one of error, cosine"),
        ("cosine", "--require has 'cosine'; wanted name=number"),
        ("", "--require has ''; wanted name=number"),
        ("cosine=0.9,cosine=0.8", "--require has cosine twice"),
        ("cosine=98%", "--require cosine='98%'; wanted a cosine, such as 0.98"),
        ("cosine=98", "cosine is required to be 98; wanted a cosine"),
        ("recall=-1", "wanted a share from 0 to 1"),
        ("sts=0.5", "wanted a difference from the original in points of 100, 0 or less"),
        ("perplexity=0.9", "wanted a multiple of the original's, 1 or more"),
        ("error=nan", "error is required to be nan; wanted a share of the variance"),
        ("error=inf", "error is required to be inf"),
    ],
)
def test_what_means_nothing_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Requirements.parse(text)


def test_numbers_are_wanted_in_python_too():
    with pytest.raises(InputError, match=r"cosine is required to be '0\.9'; wanted a cosine"):
        Requirements({"cosine": "0.9"})
    with pytest.raises(InputError, match="unknown requirement 'foo'; wanted one of error"):
        Requirements({"foo": 1})


def test_a_task_without_data_is_refused_before_any_work():
    for name, kind in KINDS.items():
        asked = Requirements({name: kind.range[0] if kind.range[0] > -100 else -1})
        asked.check_data(["--pairs", "--sts", "--text"])
        if kind.needs:
            with pytest.raises(InputError, match=f"has no data; add {kind.needs} FILE"):
                asked.check_data([])
        with pytest.raises(InputError, match=f"{name} is required but was not measured"):
            asked.unmet(Report())


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["error", "kl", "perplexity", "sts"])
def test_what_is_no_number_reaches_nothing(name, number):
    number = -number if name == "sts" else number
    figures = {name: Figure(number, number, number)} if name in ("error", "kl") else {}
    report = Report(figures, () if figures else (score(name, number),))
    asked = Requirements({name: {"sts": -200}.get(name, 9)})
    assert 0 < asked.shortfall(report) < 1_000
    assert len(asked.unmet(report)) == 1


def test_requirements_are_numbers_by_name_in_python():
    for wanted in ("cosine=0.9", ["cosine"], 0.9):
        with pytest.raises(InputError, match="wanted numbers by name"):
            Requirements(wanted)
