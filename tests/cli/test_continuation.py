"""Processes of ``nncompress compress --work`` that are ended, and how the work goes on."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nncompress

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ["compress", "v.txt", "v.nnc", "-M", "4", "-K", "8", "-e", "20", "--work", "w"]
# The command, which ends itself by a signal when it has saved so many states; one of ten is saved.
ENDING = """
import itertools, os, sys

from nncompress.formats.work import WorkDirectory

number, states = int(sys.argv[1]), int(sys.argv[2])
del sys.argv[1:3]
save, saved, moments = WorkDirectory.save, itertools.count(1), itertools.count(1)


def counted(*arguments):
    save(*arguments)
    if next(saved) == states:
        os.kill(os.getpid(), number)


WorkDirectory.save = counted
WorkDirectory.is_due = lambda work: next(moments) % 10 == 0
from nncompress.cli import entry

entry.run()
"""


@pytest.fixture
def run(tmp_path):
    random = np.random.default_rng(0)
    lines = [
        f"w{i} {' '.join(map(str, row))}" for i, row in enumerate(random.normal(size=(300, 6)))
    ]
    (tmp_path / "v.txt").write_text("\n".join(lines) + "\n")

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_job_that_is_killed_and_interrupted_goes_on_to_the_same_file(run, tmp_path):
    # A process begun in the background ignores SIGINT, and hands that on.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    ends = [(signal.SIGKILL, 1, -9), (signal.SIGINT, 2, 130), (signal.SIGKILL, 9, -9)]
    for number, states, status in ends:
        ended = run("-c", ENDING, int(number), states, *ARGUMENTS)
        assert ended.returncode == status, ended.stderr
        assert "Traceback" not in ended.stderr
        if number != signal.SIGKILL:
            last = ended.stderr.splitlines()[-1]
            begin = "nncompress: interrupted; continue with: "
            assert last.startswith(begin)
            assert shlex.split(last.removeprefix(begin)) == ["nncompress", *ARGUMENTS]
            assert not list(tmp_path.rglob(".nncompress-*"))
        assert (tmp_path / "w").is_dir()
        assert not (tmp_path / "v.nnc").exists()
    signal.signal(signal.SIGINT, former)
    end = run("-m", "nncompress", *ARGUMENTS)
    assert end.returncode == 0, end.stderr
    assert "epoch" not in end.stdout  # nothing was left to learn
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.nnc", "v.txt"]
    nncompress.compress(
        tmp_path / "v.txt", tmp_path / "whole.nnc",
        num_codebooks=4, num_codewords=8, epochs=20, report=None,
    )  # fmt: skip
    assert (tmp_path / "whole.nnc").read_bytes() == (tmp_path / "v.nnc").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dry-run"], "a dry run has no work to keep; leave out --dry-run or --work"),
        (["--time-budget", "9"], "a time budget (--time-budget) and a work directory (--work)"),
    ],
)
def test_what_does_not_go_with_it_is_refused_in_a_line(run, tmp_path, more, message):
    refused = run("-m", "nncompress", *ARGUMENTS, *more)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"nncompress: error: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["v.txt"]
