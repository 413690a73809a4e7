"""The shim sees a process's calls, and has them fail or kills at them."""

import errno
import shutil
import subprocess
import sys

import pytest

from tests.reliability import shim

pytestmark = pytest.mark.skipif(shim.missing() is not None, reason=str(shim.missing()))

SCRIPT = """
import errno, os, sys
from pathlib import Path
from tests.reliability.shim import Plan, arm, counts
import numpy as np

directory = Path(sys.argv[1])
arm(directory, {plan}, os.open(directory.parent / "trace", os.O_CREAT | os.O_WRONLY))
try:
    {body}
except OSError as error:
    print(errno.errorcode[error.errno or 0])
print(dict(counts()))
"""


@pytest.fixture
def armed(tmp_path):
    """Runs a line of Python under a plan; returns the process and the trace."""
    library = shim.build(tmp_path)
    (tmp_path / "watched").mkdir()

    def run(body, plan="Plan()"):
        (tmp_path / "trace").unlink(missing_ok=True)
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(plan=plan, body=body), tmp_path / "watched"],
            env={"LD_PRELOAD": str(library), "RELIABILITY_SHIM": str(library), "PYTHONPATH": "."},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return process, (tmp_path / "trace").read_text().splitlines()

    return run


def test_calls_are_counted_below_the_directory_alone(armed, tmp_path):
    process, trace = armed(
        '(directory / "a").write_text("a"); Path(directory.parent / "b").touch()'
    )
    assert process.stdout == "{'open': 1, 'write': 1, 'close': 1}\n", process.stderr
    assert trace == [f"{kind} {tmp_path}/watched/a" for kind in ("open", "write", "close")]


def test_what_numpy_writes_by_a_stream_of_its_own_is_counted(armed):
    process, trace = armed('np.save(directory / "a.npy", np.zeros(100_000))')
    assert process.stdout.startswith("{'open': 1, 'write': "), process.stderr
    assert sum(line.startswith("write ") for line in trace) >= 2


@pytest.mark.parametrize(
    ("action", "left"), [("before", b""), ("after", b"abcd"), ("halfway", b"ab")]
)
def test_a_process_is_killed_at_a_call(armed, tmp_path, action, left):
    body = '(directory / "a").write_text("abcd"); (directory / "b").touch()'
    process, trace = armed(body, f'Plan("kill {action}", 1, "write")')
    assert process.returncode == -9
    assert (tmp_path / "watched" / "a").read_bytes() == left
    assert not (tmp_path / "watched" / "b").exists()
    assert trace[-1] == f"!write {tmp_path}/watched/a"


def test_a_full_disk_takes_half_and_then_fails(armed, tmp_path):
    plan = f'Plan("fail from then on", 1, "write", {errno.ENOSPC})'
    process, _ = armed('(directory / "a").write_text("abcd")', plan)
    assert process.stdout.startswith("ENOSPC\n"), process.stderr
    assert (tmp_path / "watched" / "a").read_bytes() == b"ab"


def test_calls_fail_once_or_from_then_on(armed, tmp_path):
    body = """for name in "abc":
        try: (directory / name).touch()
        except OSError as error: print(name, error.filename)"""
    for action, fails in (("fail once", "b"), ("fail from then on", "bc")):
        shutil.rmtree(tmp_path / "watched")
        (tmp_path / "watched").mkdir()
        plan = f'Plan("{action}", 2, "open", {errno.EIO})'
        process, _ = armed(body, plan)
        expected = [f"{name} {tmp_path}/watched/{name}" for name in fails]
        assert process.stdout.splitlines()[:-1] == expected, process.stderr
