"""Whole runs of ``train_comp.py`` on a GPU, real or emulated."""

import json
import signal

import numpy as np
import pytest

import train_comp
from nncompress.errors import Diverged, InputError, TrainingInterrupted
from nncompress.runs.trainer_snapshots import trainer_snapshots
from tests.gpu.conftest import emulate


@pytest.fixture
def gpu(runtime, monkeypatch):
    """What ``-g`` is followed by; an emulated GPU takes the CPU's place."""
    if runtime.xp is not np:
        return "0"

    emulate(monkeypatch, runtime)
    return "-1"


def log_of(directory):
    return json.loads((directory / "chainer_report_epoch.log").read_text())


def train(gpu, matrix_path, tmp_path, *arguments, **options):
    return train_comp.main(
        ["-g", gpu, "--input-matrix", str(matrix_path), "-M", "4", "-K", "8",
         "-o", str(tmp_path / "result"), "-b", "50", *arguments],
        **options,
    )  # fmt: skip


def test_a_run_learns_and_is_logged(gpu, matrix_path, tmp_path):
    directory = train(gpu, matrix_path, tmp_path, "-e", "12", "--learning-rate", "0.02")
    log = log_of(directory)
    assert [entry["iteration"] for entry in log] == list(range(6, 73, 6))
    assert log[-1]["validation/main/loss"] < 0.6 * log[0]["validation/main/loss"]
    assert log[-1]["main/loss"] < 0.7 * log[0]["main/loss"]
    with np.load(directory / "iter_72.npz") as snapshot:
        assert snapshot["codebook"].shape == (32, 12)
        assert np.isfinite(snapshot["codebook"]).all()


def test_a_run_can_be_continued(gpu, matrix_path, tmp_path):
    whole = train(gpu, matrix_path, tmp_path, "-e", "4", "--recipe", "paper", "--tau", "0.5")
    part = train(
        gpu, matrix_path, tmp_path, "-e", "2", "--recipe", "paper", "--tau", "0.5",
        "--dir-prefix", "part",
    )  # fmt: skip
    continued = train_comp.main(["-g", gpu, "--resume", str(part), "-e", "4"])
    assert continued == part
    wanted, found = log_of(whole), log_of(part)
    for key in ("main/loss", "validation/main/loss", "main/maxp", "iteration"):
        assert [entry[key] for entry in found] == [entry[key] for entry in wanted]


def test_an_interrupted_run_can_be_continued(gpu, matrix_path, tmp_path):
    """The snapshot must be written while the updater still has its state."""

    def interrupt(trainer):
        if trainer.updater.iteration == 8:
            signal.raise_signal(signal.SIGTERM)

    interrupt.trigger = (4, "iteration")
    whole = train(gpu, matrix_path, tmp_path, "-e", "4")
    with pytest.raises(TrainingInterrupted, match="interrupted at iteration 8; continue with: "):
        train(gpu, matrix_path, tmp_path, "-e", "4", "--dir-prefix", "part",
              extensions=[interrupt])  # fmt: skip
    (part,) = (tmp_path / "result").glob("*_part_*")
    interrupt.trigger = (1_000, "iteration")
    train_comp.main(["-g", gpu, "--resume", str(part)], extensions=[interrupt])
    arrays = []
    for run in (whole, part):
        with np.load(trainer_snapshots(run)[0]) as archive:
            arrays.append({key: archive[key] for key in archive.files if "main/" in key})
    wanted, found = arrays
    assert any("codebook" in key for key in wanted)
    for key in wanted:
        if key.startswith("updater/"):
            assert (found[key] == wanted[key]).all(), key


def test_a_run_that_diverges_ends(gpu, matrix_path, tmp_path):
    with pytest.raises(Diverged, match="at iteration 6; no model was saved; choose a lower"):
        train(gpu, matrix_path, tmp_path, "-e", "3", "--lr", "1e30")
    assert not list((tmp_path / "result").glob("*/iter_*"))


def test_a_table_in_other_units_is_learned_alike(gpu, matrix, tmp_path):
    """A power of 2 changes no digit; squares of these numbers leave float32."""
    snapshots, losses = [], []
    for exponent in (0, -100, 100):
        np.save(tmp_path / "m.npy", np.ldexp(matrix, exponent))
        directory = train(gpu, tmp_path / "m.npy", tmp_path, "-e", "2")
        snapshots.append(dict(np.load(directory / "iter_12.npz")))
        losses.append(np.ldexp(log_of(directory)[-1]["validation/main/loss"], -2 * exponent))
    assert losses == [pytest.approx(losses[0])] * 3
    for key in ("codebook", "l1/W", "l2/b"):
        assert (snapshots[0][key] == snapshots[1][key]).all()
        assert (snapshots[0][key] == snapshots[2][key]).all()


def test_settings_of_a_gpu_are_kept_with_the_run(gpu, matrix_path, tmp_path):
    if gpu == "-1":
        pytest.skip("the command line refuses them without a GPU")
    directory = train(gpu, matrix_path, tmp_path, "-e", "1", "--fp32", "--matrix-dtype", "float16")
    config = json.loads((directory / "config.json").read_text())
    assert config["fp32"] is True
    assert config["matrix_dtype"] == "float16"


@pytest.mark.parametrize("flags", [["--fp32"], ["--matrix-dtype", "float16"]])
def test_settings_of_a_gpu_are_refused_on_a_cpu(matrix_path, tmp_path, flags):
    with pytest.raises(InputError, match="only apply to a GPU; leave them out"):
        train("-1", matrix_path, tmp_path, *flags)
    assert not (tmp_path / "result").exists()
