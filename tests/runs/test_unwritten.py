"""Disks that are full, for a while or for good."""

import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from nncompress.errors import InputError, OutputError
from nncompress.formats import npz_writing
from nncompress.runs import best_file
from nncompress.runs.trainer_snapshots import trainer_snapshots
from nncompress.runs.unwritten import Unwritten
from tests.runs.conftest import contents


def full():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(monkeypatch):
    """A disk onto which archives and pictures go only if ``disk["takes"]`` says so."""
    disk = {"takes": lambda name: True}
    original = npz_writing.write_npz

    def write(path, arrays):
        path.write_bytes(b"begun")
        if not disk["takes"](path.name):
            raise full()
        original(path, arrays)

    monkeypatch.setattr("nncompress.autoencoder.snapshot.write_npz", write)
    monkeypatch.setattr("nncompress.runs.trainer_snapshots.write_npz", write)
    return disk


def test_training_goes_on_while_the_disk_is_full(train, disk, tmp_path):
    whole = train("a", "-e", "7", "--snapshot-every", "10")
    left = iter([False] * 9)
    disk["takes"] = lambda name: next(left, True)
    with pytest.warns(UserWarning, match="work goes on, and writing .* is tried again") as seen:
        run = train("b", "-e", "7", "--snapshot-every", "10")
    told = [str(each.message) for each in seen if "work goes on" in str(each.message)]
    assert len(told) == 2  # of the trainer's snapshots and of the best one
    assert [path.name for path in trainer_snapshots(run)] == [
        path.name for path in trainer_snapshots(whole)
    ]
    best = [best_file.read_best(each)[0] for each in (whole, run)]
    assert best[0] == best[1]
    assert not list(run.glob(".nncompress-*"))


def test_what_could_not_be_written_for_good_is_told_in_the_end(train, resume, disk, tmp_path):
    expected = contents(train("a", "-e", "3", "--snapshot-every", "5"))
    disk["takes"] = lambda name: name not in ("trainer_snapshot_15.npz", "trainer_snapshot_18.npz")
    with (
        pytest.warns(UserWarning, match="work goes on"),
        pytest.raises(
            OutputError, match="training is complete, but the trainer's snapshot is not"
        ) as error,
    ):
        train("b", "-e", "3", "--snapshot-every", "5")
    assert "trainer_snapshot_18.npz cannot be written: No space left" in str(error.value)
    assert "free" in str(error.value)
    (run,) = (tmp_path / "b").iterdir()
    disk["takes"] = lambda name: True
    resume(run)
    assert contents(run) == expected


def test_a_log_that_cannot_be_written_is_written_whole_later(train, monkeypatch):
    from nncompress.runs.log_report import AppendingLogReport

    expected = contents(train("a", "-e", "5"))
    original, calls = AppendingLogReport._write, []

    def write(self, path):
        calls.append(path)
        if len(calls) in (2, 3):
            path.write_text("[{")
            raise full()
        original(self, path)

    monkeypatch.setattr(AppendingLogReport, "_write", write)
    with pytest.warns(UserWarning, match=r"epoch\.log is tried again"):
        run = train("b", "-e", "5")
    assert contents(run) == expected


def test_the_runs_log_may_fail_and_begins_on_a_line_of_its_own(train, resume, monkeypatch):
    run = train("a", "-e", "1")
    with (run / "train.log").open("a") as file:
        file.write("cut sho")
    resume(run)
    lines = (run / "train.log").read_text().splitlines()
    assert "cut sho" in lines
    if not os.path.exists("/dev/full"):
        return
    (run / "train.log").unlink()
    (run / "train.log").symlink_to("/dev/full")
    with (
        pytest.warns(UserWarning, match=r"train\.log is tried again later"),
        pytest.raises(OutputError, match=r"but train\.log is not written"),
    ):
        resume(run)


def test_a_disk_that_is_too_small_is_seen_before_training(train, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(InputError, match=r"training needs [0-9,]+ bytes in .*, where 100,000 are"):
        train("a", "-e", "1")
    assert not (tmp_path / "a").exists()


def test_what_a_run_needs_is_what_it_writes(train):
    from nncompress.runs.config import read_config
    from nncompress.runs.run import _settings_of
    from nncompress.runs.space import _bytes_of_run

    run = train("a", "-e", "40", "--snapshot-every", "10")
    settings, _ = _settings_of(run, read_config(run))
    written = sum(path.stat().st_size for path in run.iterdir())
    assert written < _bytes_of_run(settings, 300, 12)


def test_what_succeeds_later_is_not_told(recwarn):
    unwritten = Unwritten()
    for _ in range(3):
        with unwritten.trying("it"):
            raise full()
    assert len(recwarn) == 1
    assert "it is not written: " in unwritten.told()
    with unwritten.trying("it"):
        pass
    unwritten.check("done", "nothing to do")


def test_the_reason_is_the_systems_where_an_archive_does_not_fit(tmp_path):
    """In a process of its own, whose files may be 10,000 bytes long."""
    if sys.platform == "win32":
        pytest.skip("Windows has no limits of a process")
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from nncompress.formats.npz_writing import write_npz
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_npz(Path(sys.argv[1]), {"a": np.zeros(1_000, np.uint8), "b": np.zeros(100_000)})
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.npz"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (str(errno.EFBIG), "")


def test_an_archive_is_what_numpy_reads_and_has_no_time(tmp_path, random):
    arrays = {"a/b": random.normal(size=(3, 4)), "c": np.array("text"), "file": np.array(5)}
    npz_writing.write_npz(tmp_path / "one.npz", arrays)
    npz_writing.write_npz(tmp_path / "two.npz", dict(reversed(arrays.items())))
    with np.load(tmp_path / "one.npz") as archive:
        assert {name: archive[name].tolist() for name in archive.files} == {
            name: array.tolist() for name, array in arrays.items()
        }
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with pytest.raises(ValueError, match="allow_pickle"):
        npz_writing.write_npz(tmp_path / "three.npz", {"a": np.array([None])})
