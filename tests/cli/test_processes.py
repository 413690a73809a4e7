"""Commands in many processes, started by mpiexec: what they write, say, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.runs.trainer_snapshots import trainer_snapshots

pytest.importorskip("mpi4py")
ROOT = Path(__file__).resolve().parents[2]
MPIEXEC = Path(sys.executable).with_name("mpiexec")
pytestmark = pytest.mark.skipif(not MPIEXEC.exists(), reason="there is no mpiexec")

OPTIONS = ["--M", "2", "--K", "4", "--lr", "0.01", "-e", "8", "--snapshot-every", "20"]
# 3,000 rows, of which a step takes 200: 120 steps.
BATCH = 200
# The command with something that happens to the second process in step 50.
DISTURBED = f"""
import os, runpy, signal, sys

main = runpy.run_path({str(ROOT / "train_comp.py")!r})["main"]
what = sys.argv.pop(1)


def happen(trainer):
    if trainer.updater.iteration == 50 and os.environ["PMI_RANK"] == "1":
        if what == "error":
            raise RuntimeError("it broke")
        os.kill(os.getpid(), signal.Signals[what])


happen.trigger = 50, "iteration"

from nncompress.cli import errors

errors.run(lambda: main(extensions=[happen]), "train_comp.py")
"""
# The command with an optimizer that the kernels do not know.
OWN_OPTIMIZER = f"""
import runpy

main = runpy.run_path({str(ROOT / "train_comp.py")!r})["main"]

from nncompress import chainer
from nncompress.cli import errors

errors.run(lambda: main(optimizer=chainer.optimizers.MomentumSGD(0.05)), "train_comp.py")
"""


@pytest.fixture
def start(tmp_path):
    """Runs a script in so many processes, in a directory with a matrix."""
    np.save(tmp_path / "m.npy", np.random.default_rng(0).normal(size=(3_000, 12)))
    (tmp_path / "disturbed.py").write_text(DISTURBED)
    (tmp_path / "own_optimizer.py").write_text(OWN_OPTIMIZER)

    def start(processes, *arguments):
        return subprocess.run(
            [MPIEXEC, "-n", str(processes), sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return start


@pytest.fixture
def as_one(tmp_path, commands):
    """Compares a run with that of one process that takes all the rows of a step."""

    def compare(run, **options):
        whole = commands.train(
            [*OPTIONS, "-b", str(BATCH), "--input-matrix", str(tmp_path / "m.npy"),
             "--out", str(tmp_path / "whole")], **options
        )  # fmt: skip
        assert run.name.split("_", 2)[2] == whole.name.split("_", 2)[2]  # but for the time
        for expected, seen in zip(log_of(whole), log_of(run), strict=True):
            del expected["elapsed_time"], seen["elapsed_time"]
            assert seen == pytest.approx(expected, rel=1e-4)
        arrays, expected = arrays_of(run), arrays_of(whole)
        assert arrays.keys() == expected.keys()
        for name in expected:
            np.testing.assert_allclose(arrays[name], expected[name], rtol=5e-3, atol=1e-4)

    return compare


def log_of(run):
    return json.loads((run / "chainer_report_epoch.log").read_text())


def arrays_of(run):
    with np.load(trainer_snapshots(run)[0]) as archive:
        return {key: archive[key] for key in archive.files if "optimizer:main" in key}


def options(processes):
    part = str(BATCH // processes)
    return [*OPTIONS, "-b", part, "--input-matrix", "m.npy", "--communicator", "flat"]


def run_in(path):
    (run,) = (path / "result").iterdir()
    return run


def lines_of(errors):
    """Returns what a command says, without its log and what the launcher says."""
    return [line for line in errors.splitlines() if line.startswith("train_comp.py: ")]


def test_two_processes_write_the_run_of_one(start, tmp_path, as_one):
    done = start(2, ROOT / "train_comp.py", *options(2))
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("8 ") for line in done.stdout.splitlines()) == 1
    run = run_in(tmp_path)
    config = json.loads((run / "config.json").read_text())
    assert config["communicator"] == "flat"
    assert (config["processes"], config["batchsize"], config["iterations"]) == (2, BATCH, 120)
    assert (run / "train.log").read_text().count("Training complete!!") == 1
    as_one(run)


@pytest.mark.filterwarnings("ignore:the optimizer is MomentumSGD")
def test_chainers_own_steps_are_those_of_one_process(start, tmp_path, as_one):
    done = start(2, "own_optimizer.py", *options(2), "--communicator", "naive")
    assert done.returncode == 0, done.stderr
    as_one(run_in(tmp_path), optimizer=chainer.optimizers.MomentumSGD(0.05))


def test_a_signal_to_one_process_ends_all_and_fewer_go_on(start, tmp_path, as_one, commands):
    done = start(2, "disturbed.py", "SIGTERM", *options(2))
    assert done.returncode == 128 + signal.SIGTERM
    (line,) = lines_of(done.stderr)
    wanted = r"train_comp\.py: interrupted at iteration 50; continue with: mpiexec -n 2 python .* "
    assert re.match(wanted + "--communicator flat --resume result/", line)
    run = run_in(tmp_path)
    assert (run / "trainer_snapshot_50.npz").is_file()
    with pytest.warns(UserWarning, match="started with the extensions"):
        commands.train(["--resume", str(run)])
    config = json.loads((run / "config.json").read_text())
    assert (config["communicator"], config["processes"]) == (None, 1)
    as_one(run)


def test_a_killed_process_ends_the_job_and_more_go_on(start, tmp_path, as_one):
    done = start(2, "disturbed.py", "SIGKILL", *options(2))
    assert done.returncode != 0
    run = run_in(tmp_path)
    assert trainer_snapshots(run)[0].name == "trainer_snapshot_40.npz"
    other = start(3, ROOT / "train_comp.py", "--communicator", "naive", "--resume", run, "-b", 50)
    assert other.returncode == 2
    warning, line = lines_of(other.stderr)
    assert "started with the extensions" in warning
    assert line.startswith("train_comp.py: error: batchsize is 3 x 50, and the run in")
    done = start(3, ROOT / "train_comp.py", "--communicator", "naive", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text())["processes"] == 3
    as_one(run)


def test_an_error_in_one_process_ends_the_job(start, tmp_path):
    done = start(2, "disturbed.py", "error", *options(2))
    assert done.returncode == 1
    assert done.stderr.count("RuntimeError: it broke") == 1
    assert trainer_snapshots(run_in(tmp_path))[0].name == "trainer_snapshot_40.npz"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--input-matrix", "m.npy"], "2 processes were started but no communicator is named"),
        (["--input-matrix", "none.npy", "--communicator", "naive"], "none.npy does not exist"),
        (["--communicator", "fast"], "argument --communicator: invalid choice: 'fast'"),
    ],
)
def test_a_mistake_is_told_once(start, tmp_path, arguments, wanted):
    done = start(2, ROOT / "train_comp.py", *arguments)
    assert done.returncode == 2
    (line,) = lines_of(done.stderr)
    assert line.startswith(f"train_comp.py: error: {wanted}")
    assert not (tmp_path / "result").exists()
