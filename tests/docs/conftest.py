"""What examples are run with."""

import dataclasses

import pytest

from nncompress.evaluate import bootstrap, sizing, summary
from nncompress.evaluate.sample import SampleSize
from nncompress.refinement import growing, refine
from nncompress.refinement.refine import RefinementSettings
from nncompress.training import settings


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """Where stand-ins, and what commands wrote, are kept for the pages that come after."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def quick(monkeypatch):
    """Has everything tried as seldom as it may be: what is seen is whether examples run."""
    fast = dataclasses.replace(settings.RECIPES["fast"], min_iterations=40, max_iterations=40)
    others = {
        name: dataclasses.replace(settings.RECIPES[name], epochs=1)
        for name in ("paper", "authors")
    }
    monkeypatch.setattr(settings, "RECIPES", {"fast": fast, **others})
    for kind, numbers in (
        (RefinementSettings, {"annealing_rounds": 1, "rounds": 1, "trials": 1}),
        (SampleSize, {"queries": 20, "trials": 3}),
    ):
        for name, number in numbers.items():
            constant = property(lambda self, number=number: number, lambda self, value: None)
            monkeypatch.setattr(kind, name, constant)
    for module, numbers in (
        (bootstrap, {"RESAMPLES": 20}),
        (summary, {"QUERIES": 50}),
        (sizing, {"_FIT_ROWS": 128, "_HELD_OUT_ROWS": 64, "_ROWS_A_CODEWORD": 0}),
        (growing, {"_WIDTHS": (4, 4)}),
        (refine, {"PROBE_ROUNDS": 1, "PROBE_WIDTHS": (4,), "WIDTH": 4}),
    ):
        for name, number in numbers.items():
            monkeypatch.setattr(module, name, number)
