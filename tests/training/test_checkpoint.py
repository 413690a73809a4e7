"""Training that is stopped and goes on, against training that is not."""

import numpy as np
import pytest

from nncompress.formats.work import WorkDirectory
from nncompress.training.session import learn
from nncompress.training.settings import TrainingOptions


@pytest.mark.parametrize("recipe", ["fast", "authors"])
def test_wherever_it_is_stopped_it_comes_to_the_same_end(matrix, stop_and_go, tmp_path, recipe):
    settings = TrainingOptions(recipe=recipe, epochs=40).resolve(len(matrix), 4, 8)
    weights = np.linspace(0.5, 1.5, len(matrix))
    whole = learn(matrix, settings, weights=weights)

    def job():
        with WorkDirectory.open(tmp_path / "w") as work:
            work.require({"seed": 0})
            return learn(matrix, settings, weights=weights, work=work)

    found, stops = stop_and_go(job, 4)
    assert stops > 3
    assert (found.loss, found.iteration) == (whole.loss, whole.iteration)
    for mine, theirs in zip(found.chain.params(), whole.chain.params(), strict=True):
        assert (mine.array == theirs.array).all()
