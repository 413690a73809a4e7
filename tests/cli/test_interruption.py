"""Signals to real processes: what they leave, and how the run goes on."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nncompress.runs.trainer_snapshots import trainer_snapshots

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
ARGUMENTS = ["--M", "4", "--K", "8", "-b", "50", "-e", "300", "--input-matrix", "m.npy"]
# The command with an extension that takes its time and tells so.
SLOW = f"""
import runpy, sys, time

main = runpy.run_path({str(ROOT / "train_comp.py")!r})["main"]


def slow(trainer):
    print("slow", flush=True)
    time.sleep(60)


from nncompress.cli import errors

errors.run(lambda: main(extensions=[slow]), "train_comp.py")
"""


@pytest.fixture
def start(tmp_path):
    """Starts a process in an empty directory with a matrix; it is killed at the end."""
    np.save(tmp_path / "m.npy", np.random.default_rng(0).normal(size=(3_000, 12)))
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    # A process begun in the background ignores SIGINT, and hands that on.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield start
    signal.signal(signal.SIGINT, former)
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process, beginning):
    """Reads what a process prints up to a line with a beginning."""
    for line in process.stdout:
        if line.startswith(beginning):
            return
    raise AssertionError(process.stderr.read())


def arrays_of(run):
    with np.load(trainer_snapshots(run)[0]) as archive:
        return {key: archive[key] for key in archive.files if key.startswith("updater/")}


def names_in(run):
    return {path.name for path in run.iterdir()}


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGHUP])
def test_an_interrupted_run_goes_on_to_the_same_end(start, tmp_path, commands, number):
    process = start(ROOT / "train_comp.py", *ARGUMENTS)
    wait_for(process, "epoch ")
    time.sleep(0.3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    last = errors.splitlines()[-1]
    found = re.fullmatch(
        r"train_comp\.py: interrupted at iteration (\d+); continue with: (python .* --resume .*)",
        last,
    )
    assert found, errors
    (run,) = (tmp_path / "result").iterdir()
    iteration = arrays_of(run)["updater/iteration"]
    assert 1_000 <= iteration == int(found[1]) < 18_000
    log = (run / "train.log").read_text()
    assert f"] interrupted at iteration {iteration}\n" in log
    assert "EXIT TIME: " in log
    assert "Training complete" not in log
    for name in ("loss.png", "maxp.png"):
        (run / name).unlink()  # drawn at the first entry, and to be drawn again at the end

    _, *words = shlex.split(found[2])
    resumed = start(*words)
    _, errors = resumed.communicate(timeout=100)
    assert resumed.returncode == 0, errors
    assert (run / "loss.png").exists()
    whole = commands.train(
        [*ARGUMENTS[:-1], str(tmp_path / "m.npy"), "--out", str(tmp_path / "whole")]
    )
    expected, arrays = arrays_of(whole), arrays_of(run)
    assert expected.keys() == arrays.keys()
    for key in expected:
        assert (expected[key] == arrays[key]).all(), key
    assert names_in(run) == names_in(whole) - {"trainer_snapshot_0.npz"} | {
        f"trainer_snapshot_{iteration}.npz"
    }


def test_the_command_continues_with_the_command(start, tmp_path):
    process = start("-m", "nncompress", "train", *ARGUMENTS)
    wait_for(process, "epoch ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    (run,) = (tmp_path / "result").iterdir()
    last = errors.splitlines()[-1]
    assert last.startswith("nncompress: interrupted at iteration ")
    assert last.endswith(f"continue with: nncompress train --resume result/{run.name}")
    assert (run / "loss.png").stat().st_size > 1_000


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_stops_at_once(start, tmp_path, number):
    process = start("-W", "ignore", "-c", SLOW, *ARGUMENTS)
    wait_for(process, "slow")
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)  # the first one waits for what is under way
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == SIGNALS[number]
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "train_comp.py: interrupted"
    (run,) = (tmp_path / "result").iterdir()
    names = ["config.json", "train.log", "trainer_snapshot_0.npz"]
    assert sorted(path.name for path in run.iterdir()) == names


@pytest.mark.parametrize("number", SIGNALS)
def test_before_training_a_signal_leaves_nothing(start, tmp_path, number):
    random = np.random.default_rng(0)
    np.save(tmp_path / "m.npy", random.normal(size=(30_000, 100)).astype(np.float32))
    process = start(ROOT / "train_comp.py", "--input-matrix", "m.npy", "--target-distance", "0.01")
    wait_for(process, "Choosing M and K")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == SIGNALS[number]
    assert errors.splitlines()[-1] == "train_comp.py: interrupted"
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["m.npy"]
