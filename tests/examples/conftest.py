"""The examples' modules, and small data sets in the formats of the real ones."""

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from nncompress.runs.plot_report import ThrottledPlotReport

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

CIFAR_TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]


@pytest.fixture
def cifar_records(random):
    """The records of CIFAR-10's files by name, with classes that can be told by their colour."""
    records = {}
    for name in [*CIFAR_TRAIN, "test_batch.bin"]:
        labels = random.integers(10, size=8, dtype=np.uint8)
        pixels = random.integers(100, size=(8, 3, 1_024)) + 15 * (labels[:, None, None] - 5)
        pixels += np.array([0, 20, 40])[:, None] * (labels % 3)[:, None, None]
        pixels = np.clip(pixels + 80, 0, 255).astype(np.uint8).reshape(8, -1)
        records[name] = np.concatenate([labels[:, None], pixels], axis=1)
    return records


@pytest.fixture
def cifar_folder(tmp_path, cifar_records):
    """A data directory with CIFAR-10's files."""
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, data in cifar_records.items():
        (folder / name).write_bytes(data.tobytes())
    return folder.parent


@pytest.fixture
def cifar_archive(tmp_path, cifar_records):
    """A data directory with CIFAR-10's archive."""
    path = tmp_path / "archived" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name, data in cifar_records.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = data.nbytes
            tar.addfile(info, io.BytesIO(data.tobytes()))
    return path.parent


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path, random):
    """A data directory with MNIST's files, and what is in them by part."""
    directory = tmp_path / "mnist"
    directory.mkdir()
    parts = {}
    for part in ("train", "t10k"):
        images, labels = random.integers(256, size=(70, 28, 28)), random.integers(10, size=70)
        (directory / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (directory / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
        parts[part] = images, labels
    return directory, parts


@pytest.fixture
def without_plots(monkeypatch):
    """Leaves out the drawing of plots, which takes longer than a few steps do."""
    monkeypatch.setattr(ThrottledPlotReport, "draw", lambda plot, trainer: None)


@pytest.fixture
def start(tmp_path):
    """Starts an example as a process of its own; ``modules`` is searched for what it imports."""

    def begin(script, *arguments, modules=ROOT):
        return subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(modules)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin
