"""Files that appear complete or not at all, and together if they belong together."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from nncompress.errors import InputError, OutputError
from nncompress.formats import files, locks
from nncompress.formats.files import (
    atomic_directory,
    atomic_path,
    atomic_paths,
    check_output,
    clear_up,
    scratch_directory,
)
from nncompress.formats.locks import Lock


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def dies(script, directory):
    """Runs a script in a process that kills itself."""
    header = "import os, signal\nfrom pathlib import Path\nfrom nncompress.formats import files\n"
    footer = "\nraise SystemExit('still alive')"
    result = subprocess.run(
        [sys.executable, "-c", header + textwrap.dedent(script) + footer], cwd=directory,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == -signal.SIGKILL, result.stderr


KILLED_BETWEEN_NAMES = """
def replace(path, target, real=Path.replace):
    if path.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path, target)

Path.replace = replace
with files.atomic_paths("a", "b") as (one, other):
    one.write_text("new a")
    other.write_text("new b")
"""


def test_a_file_appears_when_it_is_complete(tmp_path):
    final = tmp_path / "new" / "x.txt"
    with atomic_path(final) as temporary:
        temporary.write_text("content")
        assert not final.exists()
        assert temporary.suffix == ".txt"
    assert final.read_text() == "content"
    assert names_in(final.parent) == ["x.txt"]


def test_a_failed_block_leaves_what_was_there(tmp_path):
    final = tmp_path / "x.txt"
    final.write_text("old")

    def fail():
        with atomic_path(final) as temporary:
            temporary.write_text("new")
            raise RuntimeError("in the block")

    with pytest.raises(RuntimeError, match="in the block"):
        fail()
    assert final.read_text() == "old"
    assert names_in(tmp_path) == ["x.txt"]


def test_permissions_are_those_of_the_old_file_or_of_any_new_one(tmp_path):
    (tmp_path / "old").write_text("")
    (tmp_path / "old").chmod(0o600)
    (tmp_path / "plain").write_text("")
    for name in ("old", "new"):
        with atomic_path(tmp_path / name) as temporary:
            temporary.write_text("content")
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_stays_and_leads_to_the_new_file(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "x").write_text("old")
    (tmp_path / "x").symlink_to(tmp_path / "far" / "x")
    with atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "x").is_symlink()
    assert (tmp_path / "far" / "x").read_text() == "new"


def test_a_file_is_synchronized_before_it_takes_its_name_and_the_directory_after(
    tmp_path, monkeypatch
):
    calls = []
    real = {"fsync": os.fsync, "replace": Path.replace}

    def fsync(descriptor):
        calls.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        real["fsync"](descriptor)

    def replace(path, target):
        calls.append(("replace", Path(target).name))
        return real["replace"](path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    with atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("content")
    assert calls == [("fsync", "x"), ("replace", "x"), ("fsync", tmp_path.name)]


def test_all_files_of_a_directory_are_synchronized_before_it_takes_its_name(tmp_path, monkeypatch):
    calls = []
    real = {"fsync": os.fsync, "rename": Path.rename}

    def fsync(descriptor):
        calls.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real["fsync"](descriptor)

    def rename(path, target):
        calls.append("rename")
        return real["rename"](path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    with atomic_directory(tmp_path / "x") as temporary:
        (temporary / "inner/most").mkdir(parents=True)
        for name in ("a", "inner/b", "inner/most/c"):
            (temporary / name).write_text("content")
    assert sorted(calls[: calls.index("rename")]) == ["a", "b", "c", "inner", "most", "x"]
    assert calls[calls.index("rename") + 1 :] == [tmp_path.name]


def test_files_that_belong_together_appear_together(tmp_path):
    (tmp_path / "a").write_text("old a")
    with atomic_paths(tmp_path / "a", tmp_path / "b") as (one, other):
        one.write_text("new a")
        # What writes files by itself writes them into the group.
        with atomic_path(other) as inner:
            inner.write_text("new b")
        assert other.read_text() == "new b"
        assert (tmp_path / "a").read_text() == "old a"
        assert not (tmp_path / "b").exists()
    assert names_in(tmp_path) == ["a", "b"]
    assert [(tmp_path / name).read_text() for name in "ab"] == ["new a", "new b"]


def test_files_in_two_directories_do_not_belong_together(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "x" / "b")
    with pytest.raises(OutputError, match="belong together, but are in several directories"):
        atomic_paths(tmp_path / "a", tmp_path / "b").__enter__()


def test_what_a_dead_process_left_is_removed(tmp_path):
    dies(
        """
        with files.atomic_path("x") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
    )
    assert len(names_in(tmp_path)) == 1
    with atomic_path(tmp_path / "y") as temporary:
        temporary.write_text("whole")
    assert names_in(tmp_path) == ["y"]


@pytest.mark.parametrize("written_since", [False, True])
def test_complete_files_of_a_dead_process_get_their_names(tmp_path, written_since):
    for name in "ab":
        (tmp_path / name).write_text(f"old {name}")
    dies(
        KILLED_BETWEEN_NAMES,
        tmp_path,
    )
    assert [(tmp_path / name).read_text() for name in "ab"] == ["new a", "old b"]
    if written_since:
        (tmp_path / "b").write_text("somebody's")
    message = "written there since" if written_since else "now have their final names"
    with pytest.warns(UserWarning, match=message):
        clear_up(tmp_path)
    assert (tmp_path / "b").read_text() == ("somebody's" if written_since else "new b")
    assert names_in(tmp_path) == ["a", "b"]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    with atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("content")
        clear_up(tmp_path)
        assert temporary.exists()


def test_other_directories_are_never_removed(tmp_path, monkeypatch):
    """Their names are like ours, and they are of somebody else's making."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = (".nncompress-0123abcd.scratch", ".nncompress-0123abcd.tmp", "nncompress-20261125")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").write_text("")
        (tmp_path / name / "lock").write_text("")
    clear_up(tmp_path)
    with scratch_directory():
        pass
    assert len(list(tmp_path.rglob("precious"))) == 3


def test_scratch_directories_of_dead_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    dies(
        """
        with files.scratch_directory() as scratch:
            (scratch / "matrix.npy").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
    )
    assert len(names_in(tmp_path)) == 1
    with scratch_directory() as scratch:
        (scratch / "x").write_text("")
        assert names_in(tmp_path) == [scratch.name]
    assert names_in(tmp_path) == []


def test_a_note_leads_nowhere_else(tmp_path):
    own = tmp_path / "inner" / ".nncompress-0123abcd.tmp"
    own.mkdir(parents=True)
    (own / "lock").write_bytes(locks._MARK)
    (own / "x").write_text("planted")
    (own / "link").symlink_to("/etc/passwd")
    note = [["../x", None], ["/x", None], ["link", None], ["x/../../y", None]]
    (own / "complete.json").write_text(json.dumps(note))
    clear_up(tmp_path / "inner")
    assert names_in(tmp_path) == ["inner"]
    assert names_in(tmp_path / "inner") == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE])
@pytest.mark.parametrize("call", ["fsync", "replace", "rename of the second"])
def test_a_failing_call_is_told_with_the_final_name(tmp_path, monkeypatch, number, call):
    for name in "ab":
        (tmp_path / name).write_text(f"old {name}")
    real = Path.replace

    def fail(*arguments):
        if call == "rename of the second" and Path(arguments[0]).name == "a":
            return real(*arguments)
        raise OSError(number, os.strerror(number))

    def write():
        with atomic_paths(tmp_path / "a", tmp_path / "b") as (one, other):
            one.write_text("new a")
            other.write_text("new b")

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail)
        patched.setattr(files.warnings, "warn", lambda *_, **__: None)
        with pytest.raises(OutputError, match=os.strerror(number)) as raised:
            write()
    assert str(tmp_path / "a") in str(raised.value)
    if call == "fsync":
        assert [(tmp_path / name).read_text() for name in "ab"] == ["old a", "old b"]
        assert names_in(tmp_path) == ["a", "b"]
    else:  # they were complete, and are not lost
        with pytest.warns(UserWarning, match="now have their final names"):
            clear_up(tmp_path)
        assert [(tmp_path / name).read_text() for name in "ab"] == ["new a", "new b"]
        assert names_in(tmp_path) == ["a", "b"]


def test_a_copy_that_finds_no_room_is_told_with_the_final_name(tmp_path):
    message = os.strerror(errno.ENOSPC)
    with (
        pytest.raises(OutputError, match=f"x cannot be written: {message}"),
        atomic_directory(tmp_path / "x") as temporary,
    ):
        raise OSError(errno.ENOSPC, message, "/elsewhere/y", None, str(temporary / "y"))
    assert names_in(tmp_path) == []


def test_a_place_that_takes_no_file_is_told_with_the_final_name(tmp_path, monkeypatch):
    def fail(prefix, dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), f"{dir}/{prefix}a")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(OutputError, match="x cannot be written: Read-only"):
        check_output(tmp_path / "x")


def test_errors_of_other_files_keep_their_names(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="elsewhere"),
        atomic_path(tmp_path / "x"),
        open("/elsewhere/y"),
    ):
        pass


@pytest.mark.parametrize("name", ["x" * 300, "dir", "file/x"])
def test_outputs_that_cannot_be_are_refused_before_work(tmp_path, name):
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises((InputError, OutputError), match=name[:200]):
        check_output(tmp_path / name)


def test_a_lock_has_one_holder_and_dies_with_it(tmp_path):
    lock = Lock.take(tmp_path / "lock")
    assert Lock.take(tmp_path / "lock") is None
    lock.release()
    assert names_in(tmp_path) == []
    dies(
        """
        from nncompress.formats.locks import Lock
        assert Lock.take(Path("lock"))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
    )
    lock = Lock.take(tmp_path / "lock")
    assert lock is not None
    lock.release()


def test_many_processes_write_one_file_and_clear_up_after_each_other(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(_write_often, [(tmp_path, str(worker)) for worker in range(4)])
    assert names_in(tmp_path) == ["x", "y"]
    one, other = (tmp_path / "x").read_text(), (tmp_path / "y").read_text()
    assert one[:1] in "0123"
    assert len(set(one)) == 1
    assert len(set(other)) == 1


def _write_often(directory, content):
    for _ in range(30):
        with atomic_paths(directory / "x", directory / "y") as paths:
            for path in paths:
                path.write_text(content * 10_000)


def test_a_note_of_any_kind_does_no_harm(tmp_path):
    for number, note in enumerate(["[" * 100_000, "{}", "[[1, 2]]", "null", " " * 2_000_000]):
        own = tmp_path / f".nncompress-0000000{number}.tmp"
        own.mkdir()
        (own / "lock").write_bytes(locks._MARK)
        (own / "complete.json").write_text(note)
    clear_up(tmp_path)
    assert names_in(tmp_path) == []


def test_a_forked_child_leaves_its_parents_directories_and_locks_alone(tmp_path):
    lock = Lock.take(tmp_path / "lock")
    with atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("content")
        if os.fork() == 0:
            lock.release()
            files.tidy_up()
            os._exit(0)
        os.wait()
        assert (tmp_path / "lock").exists()
        assert temporary.exists()
    lock.release()
    assert (tmp_path / "x").read_text() == "content"


def test_an_interrupted_removal_closes_no_descriptor_twice(tmp_path):
    lock = Lock.take(tmp_path / "lock")
    lock.leave()
    with open(tmp_path / "other", "w") as other:  # it has the same number
        lock.leave()
        lock.release()
        other.write("content")
    assert (tmp_path / "other").read_text() == "content"


def test_a_long_lived_process_reads_pairs_that_others_finished(tmp_path):
    clear_up(tmp_path)
    for name in "ab":
        (tmp_path / name).write_text(f"old {name}")
    dies(KILLED_BETWEEN_NAMES, tmp_path)
    with pytest.warns(UserWarning, match="now have their final names"):
        clear_up(tmp_path)
    assert [(tmp_path / name).read_text() for name in "ab"] == ["new a", "new b"]
