"""Small runs to look into."""

import json

import numpy as np
import pytest

import train_comp

ARGUMENTS = ["-M", "4", "-K", "8", "-b", "50"]


@pytest.fixture
def train(matrix_path, tmp_path):
    """Trains a new run of 6 iterations an epoch, in a directory of a name."""

    def train(name, *arguments, **options):
        matrix = ["--input-matrix", str(matrix_path), "--out", str(tmp_path / name)]
        return train_comp.main([*matrix, *ARGUMENTS, *map(str, arguments)], **options)

    return train


@pytest.fixture
def resume():
    """Continues a run."""

    def resume(path, *arguments, **options):
        return train_comp.main(["--resume", str(path), *map(str, arguments)], **options)

    return resume


def contents(run):
    """Whatever of a run's files a killed and continued run must have too."""
    found = {}
    for path in run.glob("iter_*.npz"):
        with np.load(path) as archive:
            found[path.name] = {name: archive[name].tolist() for name in archive.files}
    for path in run.glob("chainer_report_*.log"):
        entries = json.loads(path.read_text())
        found[path.name] = [{k: v for k, v in e.items() if k != "elapsed_time"} for e in entries]
    found["best.json"] = json.loads((run / "best.json").read_text())
    return found
