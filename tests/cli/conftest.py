"""Running the command lines, in this process and as processes of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def commands():
    """The ``main`` functions of the command lines, each taking a list of strings."""
    return SimpleNamespace(
        train=load("train_comp.py").main,
        infer=load("infer_comp.py").main,
        quantize=load("bin/quantize_embed.py").main,
        convert=load("scripts/convert_glove2numpy.py").main,
    )


@pytest.fixture
def process(tmp_path):
    """Runs a script in a process of its own, in an empty directory."""

    def run(script, *arguments, cwd=tmp_path):
        return subprocess.run(
            [sys.executable, str(ROOT / script), *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
