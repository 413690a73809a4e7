import math

import pytest

from nncompress.errors import InputError
from nncompress.evaluate.curve import CurvePoint, badness, reached
from nncompress.evaluate.target import Target

POINT = CurvePoint(0.1, 80.0, 12.0, 0.5, 0.9, 0.95, 0.8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "expected one target, got none"),
        ({"cosine": 0.9, "recall": 0.9}, "expected one target, got cosine and recall"),
        ({"recall": 1.0}, "the target recall is 1; wanted less than 1"),
        ({"bits_per_dim": 0}, "the target bits per dim is 0; wanted a positive number"),
        ({"bytes_per_row": math.nan}, "is nan; wanted a positive number"),
        ({"distance": "2"}, "the target distance is '2'; wanted a number"),
        ({"distance": True}, "wanted a number"),
    ],
)
def test_what_is_no_target_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        Target(**values)


@pytest.mark.parametrize(
    ("target", "value", "words"),
    [
        (Target(residual_bits=9), 80.0, "9 bits a row of the residual stage"),
        (Target(bits_per_dim=2), 8 * 12 / 6, "2 bits a dimension"),
        (Target(bits_per_dim=1), 8 * 12 / 6, "1 bit a dimension"),
        (Target(bytes_per_row=3), 12.0, "3 bytes a row"),
        (Target(distance=3), 0.9, "a mean distance of 3"),
        (Target(cosine=0.5), 0.95, "a mean cosine of 0.5"),
        (Target(recall=0.5), 0.8, "0.5 of each row's 10 nearest neighbours"),
    ],
)
def test_a_target_knows_its_number(target, value, words):
    assert reached(target, POINT, 6) == value
    assert str(target) == words
    better = value / 2 if target.name not in ("cosine", "recall") else (1 + value) / 2
    assert badness(target, better) == pytest.approx(badness(target, value) - math.log(2))


def test_a_table_of_few_rows_is_told_by_its_cosine():
    assert Target.usual(999) == Target(cosine=0.98)
    assert Target.usual(1_000) == Target(recall=0.9)
