"""What goes with what in a plan; everything that does not is refused in a line."""

import pytest

from nncompress.errors import InputError
from nncompress.evaluate.target import Target
from nncompress.plan import Plan
from nncompress.refinement.refine import RefinementSettings
from nncompress.training.settings import TrainingOptions


def test_without_wishes_rows_are_coded_by_the_usual_target():
    plan = Plan.of()
    assert (plan.size, plan.target, plan.has_residual) == (None, None, True)


@pytest.mark.parametrize(
    ("wishes", "size", "target"),
    [
        ({"num_codebooks": 8}, (8, 16), None),
        ({"num_codewords": 8}, (32, 8), None),
        ({"num_codebooks": 8, "residual_bits": 9}, (8, 16), Target(residual_bits=9)),
        ({"residual_bits": 9}, None, Target(residual_bits=9)),
        ({"bits_per_dim": 2}, None, Target(bits_per_dim=2)),
        ({"bytes_per_row": 2}, None, Target(bytes_per_row=2)),
        ({"distance": 2, "adaptive": True, "has_weights": True}, None, Target(distance=2)),
        ({"cosine": 0.9, "adaptive": True}, None, Target(cosine=0.9)),
        ({"recall": 0.9}, None, Target(recall=0.9)),
    ],
)
def test_wishes_become_a_plan(wishes, size, target):
    plan = Plan.of(**wishes)
    assert (plan.size, plan.target) == (size, target)
    assert plan.has_residual == (size is None or target is not None)
    assert plan.adaptive == wishes.get("adaptive", False)


def test_settings_of_additive_codes_are_passed_on():
    plan = Plan.of(
        num_codebooks=4, recipe="paper", epochs=3, seed=5, codebook_dtype="float32",
        objective="cosine", has_weights=True,
    )  # fmt: skip
    assert plan.training == TrainingOptions(recipe="paper", epochs=3, seed=5)
    assert plan.codebook_dtype == "float32"
    assert Plan.of(num_codebooks=4, time_budget=9).refinement == RefinementSettings(seconds=9)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"cosine": 0.9, "recall": 0.9}, "--target-cosine and --target-recall were given; wanted"),
        ({"residual_bits": 9, "recall": 0.9}, "--target-recall and --residual-bits were given"),
        ({"num_codebooks": 8, "cosine": 0.9}, "--target-cosine sets a target for the whole"),
        ({"recipe": "fast"}, "--recipe is for additive codes, but none were requested"),
        ({"epochs": 3, "cosine": 0.9}, "--epoch is for additive codes"),
        ({"time_budget": 3}, "--time-budget is for additive codes"),
        ({"codebook_dtype": "auto"}, "--codebook-dtype is for additive codes"),
        ({"num_codewords": 8, "adaptive": True}, "-M and -K have no such stage"),
        ({"has_weights": True}, "weights were given, .*; add --adaptive"),
        ({"objective": "l1"}, "unknown objective 'l1'"),
        ({"num_codebooks": 0}, "M is 0; wanted at least 1 codebook"),
        ({"num_codewords": 1}, "K is 1; wanted 2 to"),
        ({"num_codebooks": 3, "codebook_dtype": "int3"}, "unknown codebook type 'int3'"),
        ({"bits_per_dim": -1}, "the target bits per dim is -1; wanted a positive number"),
    ],
)
def test_what_does_not_go_together_is_refused(wishes, message):
    with pytest.raises(InputError, match=message):
        Plan.of(**wishes)
