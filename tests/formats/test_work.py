import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import InputError, OutputError
from nncompress.formats import work as work_module
from nncompress.formats.work import WorkDirectory

ARRAYS = {
    "codes": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "numbers": np.array([0.1, np.pi]),
    "flags": np.array([True, False]),
    "one": np.array(7),
    "none": np.empty((0, 3), np.float32),
}
FACTS = {"losses": [0.1 + 0.2, 1e-300], "done": None}


def look_into(path, **facts):
    with WorkDirectory.open(path) as work:
        work.require(facts)
        return work.load("x")


def test_what_is_saved_comes_back_to_the_bit(tmp_path):
    with WorkDirectory.open(tmp_path / "a" / "w") as work:
        work.require({"seed": 1})
        assert work.load("x") is None
        work.save("x", ARRAYS, FACTS)
    with WorkDirectory.open(tmp_path / "a" / "w") as work:
        work.require({"seed": 1})
        state = work.load("x")
        assert state.facts == FACTS
        assert state.arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert state.arrays[name].dtype == array.dtype
            assert state.arrays[name].shape == array.shape
            assert (state.arrays[name] == array).all()
        del state
        work.finish()
    assert not (tmp_path / "a" / "w").exists()


def test_a_directory_that_was_there_stays(tmp_path):
    with WorkDirectory.open(tmp_path) as work:
        work.require({"seed": 1})
        work.save("x", ARRAYS, FACTS)
        work.finish()
    assert list(tmp_path.iterdir()) == []
    with WorkDirectory.open(tmp_path / "new"):
        pass  # nothing was kept in it
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_bit_is_noticed(tmp_path, random):
    with WorkDirectory.open(tmp_path / "w") as work:
        work.require({"seed": 1})
        work.save("x", ARRAYS, FACTS)
        path = work.state_path("x")
        whole = path.read_bytes()
        for place in random.integers(len(whole), size=60):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << random.integers(8)
            path.write_bytes(damaged)
            with pytest.warns(UserWarning, match=r"x\.state is damaged; that part of the work"):
                assert work.load("x") is None
            assert not path.exists()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.warns(UserWarning, match="is damaged"):
            assert work.load("x") is None


def test_work_of_a_job_that_nobody_knows_is_refused_and_stays(tmp_path):
    with WorkDirectory.open(tmp_path / "w") as work:
        work.require({"seed": 1})
        work.save("x", ARRAYS, FACTS)
    job = tmp_path / "w" / "work.json"
    job.write_text(job.read_text().replace('"seed": 1', '"seed": 2'))
    for content in (job.read_text(), '{"jobs": ["mine"]}', "[" * 100_000, ""):
        job.write_text(content)
        with pytest.raises(InputError, match=r"work\.json is not the description of a"):
            look_into(tmp_path / "w", seed=2)
        assert job.read_text() == content
        assert (tmp_path / "w" / "x.state").exists()


def test_another_job_is_refused_and_leaves_everything(tmp_path):
    with WorkDirectory.open(tmp_path / "w") as work:
        work.require({"seed": 1, "M": 4})
        work.save("x", ARRAYS, FACTS)
    before = {path.name: path.read_bytes() for path in (tmp_path / "w").iterdir()}
    with pytest.raises(InputError, match="work of another job, with seed 1 instead of 2; "):
        look_into(tmp_path / "w", seed=2, M=4)
    assert {path.name: path.read_bytes() for path in (tmp_path / "w").iterdir()} == before


def test_a_second_process_is_kept_out(tmp_path):
    code = (
        "import sys; from nncompress.formats.work import WorkDirectory\n"
        "with WorkDirectory.open(sys.argv[1]): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "w")]
    with WorkDirectory.open(tmp_path / "w"):
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "w is in use by another process; wait until it has finished, or" in other.stderr
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("name", ["x.state", "lock", "matrix.npy"])
def test_a_directory_of_somebody_elses_files_is_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=rf"holds other files \({name}\); wanted a new or empty"):
        look_into(tmp_path)
    with pytest.raises(InputError, match="is not a directory; wanted one for the work"):
        look_into(tmp_path / name)
    with pytest.raises(OutputError, match=r"cannot be used for the work \(--work\): Not a dir"):
        look_into(tmp_path / name / "w")
    assert (tmp_path / name).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_keeping_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(work_module.time, "monotonic", lambda: now[0])
    write = work_module.write_tensors

    def slow(*arguments):
        now[0] += 2.0
        write(*arguments)

    with WorkDirectory.open(tmp_path / "w") as work:
        now[0] = 29.0
        assert not work.is_due()
        now[0] = 30.0
        assert work.is_due()
        monkeypatch.setattr(work_module, "write_tensors", slow)
        work.save("x", ARRAYS, FACTS)
        now[0] += 199.0
        assert not work.is_due()
        now[0] += 1.0
        assert work.is_due()


def test_a_directory_that_a_process_died_in_early_is_still_ours(tmp_path):
    code = (
        "import os, signal; from nncompress.formats.work import WorkDirectory\n"
        "with WorkDirectory.open('w'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert (tmp_path / "w").is_dir()
    with WorkDirectory.open(tmp_path / "w") as work:
        work.save("x", ARRAYS, FACTS)
        work.finish()
    assert not (tmp_path / "w").exists()


def test_the_description_is_the_last_to_go(tmp_path, monkeypatch):
    gone = []
    unlink = Path.unlink

    def noted(path, **options):
        gone.append(path.name)
        unlink(path, **options)

    with WorkDirectory.open(tmp_path / "w") as work:
        work.require({"seed": 1})
        for name in ("x", "y"):
            work.save(name, ARRAYS, FACTS)
        monkeypatch.setattr(Path, "unlink", noted)
        work.finish()
        monkeypatch.undo()
    assert sorted(gone[:2]) == ["x.state", "y.state"]
    assert gone[2] == "work.json"
