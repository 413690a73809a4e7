"""A small share of the trials: those of a night are ``make reliability``'s."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability import shim

ROOT = Path(__file__).resolve().parents[2]
needs_shim = pytest.mark.skipif(shim.missing() is not None, reason=str(shim.missing()))


def run(module, *arguments):
    result = subprocess.run(
        [sys.executable, "-m", f"tests.reliability.{module}", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr[-3_000:]
    return result.stdout


@needs_shim
def test_a_few_kills():
    told = run("kills", "all", "--count", 2)
    assert "training calls seed 0: 2 trials: " in told
