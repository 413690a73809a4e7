"""Runs that SIGKILL ends between two of their calls to the file system, and that go on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.conftest import ARGUMENTS, contents

MOMENTS = 5
# Trains with each argument list in a process of its own, which dies at a call of that number.
FORKING = """
import json, os, signal, sys
from pathlib import Path
import matplotlib.backends.backend_agg, matplotlib.figure
import train_comp
from nncompress.runs import run
from nncompress.training import fused_updater

def die_at(number):
    calls = 0
    def counted(function):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call
    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)
    Path.unlink, Path.mkdir = counted(Path.unlink), counted(Path.mkdir)
    return lambda: calls

for number, out, arguments in json.loads(sys.argv[1]):
    if out is not None:
        runs = [path.parent for path in Path(out).glob("*/config.json")]
        if not runs:
            continue
        arguments = ["--resume", str(runs[0])]
    process = os.fork()
    if process == 0:
        calls = die_at(number)
        train_comp.main(arguments)
        Path("calls").write_text(str(calls()))
        os._exit(0)
    os.waitpid(process, 0)
"""


@pytest.fixture
def fork(tmp_path):
    """Makes the processes, one after the other."""
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")

    def fork(jobs):
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORKING, json.dumps(jobs)],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return int((tmp_path / "calls").read_text())

    return fork


def test_a_run_killed_at_any_call_goes_on_to_the_same_end(fork, matrix_path, tmp_path):
    arguments = [
        *("--input-matrix", str(matrix_path), *ARGUMENTS, "-e", "7"),
        *("--snapshot-every", "10", "--threads", "1", "--out"),
    ]
    calls = fork([(0, None, [*arguments, str(tmp_path / "whole")])])
    (whole,) = (tmp_path / "whole").iterdir()
    moments = range(3, calls, max(1, calls // MOMENTS))
    jobs = []  # killed, killed again where it goes on, and left to its end
    for moment in moments:
        out = str(tmp_path / f"killed_{moment}")
        jobs.append((moment, None, [*arguments, out]))
        jobs.append((moment // 2, out, None))
        jobs.append((0, out, None))
    fork(jobs)
    continued = 0
    for moment in moments:
        for run in tmp_path.glob(f"killed_{moment}/*"):
            if not (run / "config.json").exists():
                continue
            assert contents(run) == contents(whole), moment
            left = {path.name for path in run.iterdir()}
            assert left == {path.name for path in whole.iterdir()}, moment
            continued += 1
    assert continued >= len(moments) - 1
