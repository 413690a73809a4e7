"""What others may have written is never read as a compiled kernel."""

import importlib
import os
import pickle
import pkgutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import nncompress.cpu
from nncompress.cpu import cache

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import numpy as np
from nncompress.cpu import cache, tally

print(cache.DIRECTORY)
x, square, codes = np.ones((1, 2)), np.zeros((2, 2)), np.zeros((1, 1), np.int32)
tally.tally(0, 1, np.zeros(1, np.int64), x, np.ones(1), codes, 2, square, square)
"""


class Evil:
    """A pickle that leaves a mark where it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def compile_kernel(base):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"NUMBA_CACHE_DIR": str(base), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )


def claim(base):
    return Path(cache._claim(base, "version"))


def test_planted_kernels_are_not_read(tmp_path):
    base, mark = tmp_path / "base", tmp_path / "mark"
    result = compile_kernel(base)
    assert result.stdout.startswith(str(base))
    assert result.stderr == ""
    indices = list(base.rglob("*.nbi"))
    assert indices
    for path in indices:
        path.write_bytes(pickle.dumps(Evil(mark)))
    base.chmod(0o777)
    result = compile_kernel(base)
    assert not result.stdout.startswith(str(base))
    assert f"NUMBA_CACHE_DIR is not used ({base}: others may write to {base})" in result.stderr
    assert not mark.exists()


def test_a_sticky_directory_will_do_and_ours_are_private(tmp_path):
    tmp_path.chmod(0o1777)
    directory = claim(tmp_path)
    assert directory == tmp_path / "nncompress-kernels" / "version"
    for path in (directory, directory.parent):
        assert path.stat().st_mode & 0o777 == 0o700
    assert claim(tmp_path) == directory


@pytest.mark.parametrize("name", ["nncompress-kernels", "nncompress-kernels/version"])
def test_a_link_in_the_place_of_ours_is_refused(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "base" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(cache._UnsafeError, match="is not a directory"):
        claim(tmp_path / "base")


def test_a_version_that_others_may_look_into_is_refused(tmp_path):
    claim(tmp_path).chmod(0o755)
    with pytest.raises(cache._UnsafeError, match="is accessible to others"):
        claim(tmp_path)


def test_what_belongs_to_another_user_is_refused(tmp_path, monkeypatch):
    claim(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(cache._UnsafeError, match="belongs to another user"):
        claim(tmp_path)


def test_links_among_the_kernels_are_refused_and_what_broke_off_is_removed(tmp_path):
    directory = claim(tmp_path)
    empty, forgotten, fresh = (directory / n for n in ("a.nbi", "b.nbi.tmp.1", "c.nbi.tmp.2"))
    empty.touch()
    os.utime(empty, (time.time() - 90,) * 2)
    for path in (forgotten, fresh):
        path.write_text("x")
    os.utime(forgotten, (0, 0))
    claim(tmp_path)
    assert list(directory.iterdir()) == [fresh]
    os.link(fresh, directory / "d.nbi")
    with pytest.raises(cache._UnsafeError, match="is a link"):
        claim(tmp_path)


def test_other_versions_stay_for_as_long_as_they_are_used(tmp_path):
    ours = claim(tmp_path).parent
    days = {"new": 0, "used": 29, "old": 31}
    for name, age in days.items():
        (ours / name).mkdir()
        os.utime(ours / name, (time.time() - age * 86_400,) * 2)
    claim(tmp_path)
    assert {path.name for path in ours.iterdir()} == {"version", "new", "used"}


def test_without_a_safe_directory_nothing_is_kept(tmp_path, monkeypatch):
    tmp_path.chmod(0o777)
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(cache, "_bases", lambda: iter([tmp_path / "base", file]))
    with pytest.warns(UserWarning, match=r"compiled every time.*others may write.*File exists"):
        assert cache._choose() == ""


def test_all_kernels_are_kept_in_this_directory():
    for module in pkgutil.iter_modules(nncompress.cpu.__path__):
        imported = importlib.import_module(f"nncompress.cpu.{module.name}")
        for name, kernel in vars(imported).items():
            if isinstance(kernel, Dispatcher) and kernel.stats.cache_path is not None:
                assert kernel.stats.cache_path.startswith(cache.DIRECTORY), name
