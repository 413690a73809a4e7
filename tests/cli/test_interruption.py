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
ARGUMENTS = [
    *("--M", "4", "--K", "8", "-b", "50", "-e", "300"),
    *("--snapshot-every", "1h", "--input-matrix", "m.npy"),
]
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
        # A large diff of the repository, which runs log, would fill a pipe that is read later.
        settings = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "GIT_DIR": os.devnull}
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    # A process begun in the background ignores SIGINT, one of nohup SIGHUP, and they hand that on.
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    for number in former:
        signal.signal(number, lambda *_: None)  # a child's is the default
    yield start
    for number, handler in former.items():
        signal.signal(number, handler)
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
    process.send_signal(signal.SIGHUP)  # the terminal is closed
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 129
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


@pytest.mark.parametrize("module", ["nncompress.cli.signals", "numpy", "nncompress.cli.printing"])
@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGHUP])
def test_a_signal_while_the_program_is_imported_is_one_line(start, module, number):
    process = start("-v", "-m", "nncompress", "info", "x.nnc")
    for line in process.stderr:
        if line.startswith(f"import '{module}' "):
            break
    time.sleep(0.001)  # the first line of the next function
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "nncompress: interrupted\n" in errors
    assert "Traceback" not in errors


RAISED = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
for _ in range(10):
    pass
"""
DROPPED = f"""
try:
    exec({RAISED!r})
except BaseException:
    raise ImportError("half of it") from None
"""


@pytest.mark.parametrize(
    "main",
    [
        "import dropped",
        f"d = type('D', (), {{'__del__': lambda self: exec({RAISED!r})}})(); del d",
    ],
    ids=["import", "destructor"],
)
def test_a_signal_that_others_drop_comes_again(start, tmp_path, main):
    (tmp_path / "dropped.py").write_text(DROPPED)
    script = f"""
from nncompress.cli import errors
import time
def main():
    try:
        {main}
    except ImportError:
        pass
    time.sleep(20)
errors.run(main, "x")
"""
    process = start("-c", script)
    _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (130, "x: interrupted\n")


def print_to(stdout, *options):
    """Prints a line as a command does, and returns its status and what it says of it."""
    script = "from nncompress.cli import errors; errors.run(lambda: print('x'), 'x')"
    result = subprocess.run(
        [sys.executable, *options, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    return result.returncode, result.stderr.decode()


@pytest.mark.parametrize("options", [[], ["-u"]])
def test_nobody_who_reads_is_no_error(options):
    reader, writer = os.pipe()
    os.close(reader)
    assert print_to(writer, *options) == (0, "")
    os.close(writer)


def test_what_cannot_be_printed_is_one_line():
    with open("/dev/full", "w") as full:
        status, errors = print_to(full)
    assert status == 2
    assert errors == "x: error: standard output cannot be written: No space left on device\n"


def test_threads_that_wait_for_the_interrupted_one_do_not_keep_the_process(start):
    process = start(
        "-c",
        "import os, signal, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from nncompress.cli import errors\n"
        "def main():\n"
        "    ThreadPoolExecutor(1).submit(time.sleep, 60)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
        "errors.run(main, 'x')",
    )
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (143, "x: interrupted\n")
