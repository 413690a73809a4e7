"""Matrices that the tests share, and the command."""

import itertools

import hypothesis
import numpy as np
import pytest

from nncompress import missing, progress
from nncompress.cli.main import main
from nncompress.formats.work import WorkDirectory

# How long a machine takes says nothing of what is tested.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def told_of_compiling(monkeypatch):
    """Whether a test is the first to use a kernel changes nothing that it prints."""
    monkeypatch.setattr(progress, "_is_told", True)


@pytest.fixture(autouse=True)
def package_is_installed(monkeypatch):
    """Messages that say what to install are the same in a clone."""
    monkeypatch.setattr(missing, "_is_installed", lambda: True)


@pytest.fixture
def random():
    return np.random.default_rng(7)


@pytest.fixture
def matrix(random):
    """A small matrix with structure: 300 rows around 20 centres."""
    centres = random.normal(size=(20, 12))
    rows = centres[random.integers(20, size=300)] + 0.3 * random.normal(size=(300, 12))
    return (3.0 * rows + 1.0).astype(np.float32)


@pytest.fixture
def matrix_path(tmp_path, matrix):
    path = tmp_path / "matrix.npy"
    np.save(path, matrix)
    return path


@pytest.fixture
def ask(capsys):
    """Runs the command, and returns what it printed."""

    def run(*arguments):
        main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    return run


@pytest.fixture
def table(random):
    """Codes, a codebook and words of 700 rows: M=8, K=11, D=9."""
    codes = random.integers(11, size=(700, 8))
    codebook = random.normal(size=(88, 9)).astype(np.float32)
    return codes, codebook, [f"wörd {i}" for i in range(700)]


@pytest.fixture
def decoded(table):
    """The table's rows, by the definition, in float64."""
    codes, codebook, _ = table
    return np.eye(11)[codes].reshape(700, -1) @ codebook.astype(np.float64)


class Stopped(BaseException):
    """The end of a job in the middle of it."""


@pytest.fixture
def stop_and_go(monkeypatch):
    """Runs a job again and again, which each time ends after so many saved states, until it ends.

    It takes a function, the number of states, and of how many moments at which a state may be
    saved one is taken; it returns what the job does and how often it was stopped.
    """
    save = WorkDirectory.save
    saved, moments = [], itertools.count(1)

    def run(job, states, one_of=1):
        def counted(*arguments):
            save(*arguments)
            saved.append(arguments[1])
            if len(saved) == states:
                raise Stopped

        monkeypatch.setattr(WorkDirectory, "is_due", lambda work: next(moments) % one_of == 0)
        monkeypatch.setattr(WorkDirectory, "save", counted)
        stops = 0
        while True:
            saved.clear()
            try:
                return job(), stops
            except Stopped:
                stops += 1

    return run
