"""A small share of the trials; those marked long are all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability import shim
from tests.reliability.endurance import ENDURANCE
from tests.reliability.tasks import tasks

ROOT = Path(__file__).resolve().parents[2]
needs_shim = pytest.mark.skipif(shim.missing() is not None, reason=str(shim.missing()))


def run(module, *arguments):
    """Runs one of the commands here, which ends with status 1 where something fell."""
    result = subprocess.run(
        [sys.executable, "-m", f"tests.reliability.{module}", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr[-3_000:]
    return result.stdout


@needs_shim
def test_a_few_kills():
    names = ("training", "decode", "convert", "export-npy", "encode", "append", "compress-large")
    told = run("kills", *names, "--count", 3)
    assert all(f"{name} calls seed 0: 3 trials: " in told for name in names)


@needs_shim
def test_a_few_failures():
    told = run("failures", "import", "--count", 1)
    assert "import, over other files: fsync: 1 tried: 1 refused" in told


@pytest.mark.parametrize("name", ENDURANCE)
def test_a_short_endurance(name):
    _, _, size = ENDURANCE[name]
    assert run("endurance", name, "--size", size).startswith(f"{name}: ")


@needs_shim
@pytest.mark.long
@pytest.mark.parametrize("how", ["moments", "calls"])
@pytest.mark.parametrize("name", ["training", *tasks()])
def test_kills(name, how):
    run("kills", name, "--how", how, "--count", 200)


@needs_shim
@pytest.mark.long
@pytest.mark.parametrize("name", ["training", *tasks()])
def test_failures(name):
    # A run writes so much that a thousand trials of each kind of call have to stand for all.
    run("failures", name, "--count", 1_000)


@pytest.mark.long
@pytest.mark.parametrize("name", ENDURANCE)
def test_endurance(name):
    run("endurance", name)
