import io
import re
import time
from types import SimpleNamespace

import pytest

from nncompress import progress
from nncompress.machine import Machine
from nncompress.runs.console import LossTable
from nncompress.sources import EmbeddingMatrix
from nncompress.training.session import make_session
from nncompress.training.settings import TrainingOptions


@pytest.fixture
def losses():
    """A table of losses, its output, and a function that adds an entry."""
    out, log = io.StringIO(), []
    table = LossTable(("iteration", "main/loss"), "LogReport", out)
    trainer = SimpleNamespace(get_extension=lambda name: SimpleNamespace(log=log))

    def add(**entry):
        log.append(entry)
        table(trainer)

    return out, add


def test_the_table_has_a_heading_and_a_row_for_each_entry(losses):
    out, add = losses
    add(**{"iteration": 1_000, "main/loss": 12.5})
    add(**{"iteration": 2_000})
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["iteration", "main/loss"], ["1000", "12.5"], ["2000"],
    ]  # fmt: skip
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out.getvalue())


def test_training_is_a_phase_that_counts_its_steps(matrix, capsys, monkeypatch):
    counted = {}
    begin = progress._Overall.begin

    def note(self, name, count=None):
        counted[name] = count
        begin(self, name, count)

    monkeypatch.setattr(progress._Overall, "begin", note)
    monkeypatch.setattr(progress, "_TOLD", 0.0)
    options = TrainingOptions(epochs=2, batch_size=50)
    with progress.overall():
        make_session(
            EmbeddingMatrix.of(matrix), options.resolve(len(matrix), 4, 8), Machine()
        ).run()
    count = counted["training"]
    assert (count.n, count.total, count.unit) == (12, 12, "step")
    assert re.search(r"^training: \d+\.\d s$", capsys.readouterr().err, re.MULTILINE)


def test_how_fast_steps_are_tells_how_long_training_takes():
    with progress.overall(), progress.phase("training", 1_000, "step") as counter:
        whole = progress._overall.get()
        time.sleep(0.02)
        counter.update(100)
        left = whole.timetable.seconds_left()
        assert 0.1 < left < 60
