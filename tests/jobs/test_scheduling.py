import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nncompress.embedding.model_file import write_model
from nncompress.errors import InputError
from nncompress.jobs.encoding import encode_rows
from nncompress.jobs.refining import RefiningSettings, refine_model
from nncompress.jobs.scheduling import workers
from nncompress.sources.open_rows import open_rows
from tests.jobs.test_encoding import QUICK, contents, encode
from tests.jobs.test_refining import rough

ROOT = Path(__file__).resolve().parents[2]
distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        yield cluster


@contextlib.contextmanager
def helpers(cluster, path, effort="quick"):
    table = {"source": str(path)}
    with workers(cluster.scheduler_address, table, effort) as found:
        yield found


@pytest.mark.parametrize("kind", ["codes", "both"])
def test_workers_come_to_the_same_bytes(
    kind, cluster, rows_path, model_of, tmp_path, small_blocks
):
    model = model_of(kind)
    encode(model, rows_path, tmp_path / "here.nnc")
    with helpers(cluster, rows_path) as found, open_rows(rows_path) as source:
        runner = partial(found.encode, model)
        encode_rows(model, source, tmp_path / "there.nnc", QUICK, runner=runner)
    assert contents(tmp_path / "there.nnc") == contents(tmp_path / "here.nnc")


def test_sums_are_reduced_to_the_same_bytes(cluster, rows_path, model_of, tmp_path, small_blocks):
    model, settings = rough(model_of("codes")), RefiningSettings(rounds=2)
    with open_rows(rows_path) as source, helpers(cluster, rows_path) as found:
        write_model(tmp_path / "here", refine_model(model, source, settings))
        there = refine_model(model, source, settings, summing=found.add_up)
    write_model(tmp_path / "there", there)
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()


def test_a_worker_that_dies_is_replaced(rows, model_of, tmp_path, small_blocks):
    model = model_of("both")
    many = np.concatenate([rows] * 8)
    np.save(tmp_path / "many.npy", many)
    encode(model, tmp_path / "many.npy", tmp_path / "here.nnc")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]
        killed = threading.Event()

        def kill():
            work = tmp_path / "there.nnc.work"
            while len(list(work.glob("*.state"))) < 5:
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)
            killed.set()

        threading.Thread(target=kill, daemon=True).start()
        with (
            helpers(cluster, tmp_path / "many.npy") as found,
            open_rows(tmp_path / "many.npy") as source,
        ):
            runner = partial(found.encode, model)
            encode_rows(model, source, tmp_path / "there.nnc", QUICK, runner=runner)
    assert killed.is_set()
    assert contents(tmp_path / "there.nnc") == contents(tmp_path / "here.nnc")


def test_a_table_that_workers_see_otherwise_is_refused(
    cluster, rows, rows_path, model_of, tmp_path
):
    model = model_of("codes")
    with helpers(cluster, rows_path) as found, open_rows(rows_path) as source:
        np.save(rows_path, rows[:2_000])
        with pytest.raises(InputError, match="a worker sees a different table than this machine"):
            encode_rows(
                model, source, tmp_path / "x.nnc", QUICK, runner=partial(found.encode, model)
            )
    assert not (tmp_path / "x.nnc").exists()


def test_errors_of_rows_come_from_workers_in_a_line(cluster, rows, model_of, tmp_path):
    bad = rows.copy()
    bad[2_000, 3] = np.inf
    np.save(tmp_path / "bad.npy", bad)
    model = model_of("codes")
    with (
        helpers(cluster, tmp_path / "bad.npy") as found,
        open_rows(tmp_path / "bad.npy") as source,
        pytest.raises(InputError, match=r"inf in row 2,?000, column 3"),
    ):
        encode_rows(model, source, tmp_path / "x.nnc", QUICK, runner=partial(found.encode, model))


def test_a_scheduler_that_is_not_there_is_told(rows_path, monkeypatch):
    monkeypatch.setattr("nncompress.jobs.scheduling._SECONDS", 1)
    for address, message in [
        ("tcp://127.0.0.1:1", "no scheduler found at tcp://127.0.0.1:1"),
        ("nonsense://x", "no scheduler found at nonsense://x"),
        ("local:0", "wanted local:1 to local:1024"),
        ("local:x", "wanted local:1 to local:1024"),
    ]:
        with (
            pytest.raises(InputError, match=message),
            workers(address, {"source": str(rows_path)}, "quick"),
        ):
            pass


def test_no_scheduler_and_no_workers():
    with workers(None, {}, "quick") as found:
        assert found is None


def test_what_workers_have_no_use_for_is_refused():
    for options, message in [
        ({"gpu": 1}, r"GPU 1 \(--gpu\) and a scheduler"),
        ({"threads": 2}, r"2 threads \(--threads\) and a scheduler"),
    ]:
        with (
            pytest.raises(InputError, match=message),
            workers("local:1", {}, "quick", **options),
        ):
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_workers_too_in_one_line(number, rows, model_of, tmp_path):
    np.save(tmp_path / "rows.npy", np.tile(rows, (800, 1)))
    write_model(tmp_path / "m", model_of("codes"))
    process = subprocess.Popen(
        [sys.executable, "-m", "nncompress", "encode", "m", "rows.npy", "x.nnc", "--effort",
         "thorough", "--scheduler", "local:2"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        while process.poll() is None and not list(tmp_path.glob("x.nnc.work/block-*")):
            time.sleep(0.05)
        os.killpg(process.pid, number)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 128 + number
    assert len(errors.splitlines()) == 1
    assert "interrupted; continue with: nncompress encode m rows.npy x.nnc" in errors
    assert list(tmp_path.glob("x.nnc.work/block-*"))


def test_a_bad_row_is_told_by_workers_in_one_line(rows, model_of, tmp_path):
    bad = np.tile(rows, (20, 1))
    bad[40_000, 3] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    write_model(tmp_path / "m", model_of("codes"))
    process = subprocess.run(
        [sys.executable, "-m", "nncompress", "encode", "m", "bad.npy", "x.nnc", "--effort",
         "quick", "--scheduler", "local:1"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert "nncompress: error: bad.npy has nan in row 40000, column 3" in process.stderr
    assert len(process.stderr.splitlines()) == 1
