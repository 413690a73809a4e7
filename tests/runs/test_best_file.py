import json
import math

import pytest

from nncompress.errors import InputError
from nncompress.formats.files import sha256_of
from nncompress.runs.best_file import (
    KeptSnapshot,
    best_snapshot,
    read_best,
    write_best,
)


@pytest.fixture
def run(tmp_path):
    """Two snapshots, of which the earlier is the best."""
    kept = []
    for iteration, loss in ((20, 1.0), (100, 2.0)):
        path = tmp_path / f"iter_{iteration}.npz"
        path.write_bytes(bytes([iteration]) * 50)
        kept.append(KeptSnapshot(iteration, loss, sha256_of(path)))
    write_best(tmp_path / "best.json", kept)
    return tmp_path


def test_the_file_says_which_is_best(run):
    assert best_snapshot(run) == run / "iter_20.npz"
    assert [each.loss for each in read_best(run)] == [1.0, 2.0]


def test_without_the_file_the_latest_is_best(run):
    (run / "best.json").unlink()
    (run / "iter_٣٣٣.npz").touch()
    assert best_snapshot(run) == run / "iter_100.npz"


def test_a_loss_that_is_not_finite_is_null(run):
    write_best(run / "best.json", [KeptSnapshot(20, math.inf, sha256_of(run / "iter_20.npz"))])
    assert json.loads((run / "best.json").read_text())["snapshots"][0]["validation_loss"] is None
    assert best_snapshot(run) == run / "iter_20.npz"


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "null", "[]", "[" * 100_000, "{}", '{"snapshots": []}', '{"snapshots": [1]}',
        '{"snapshots": {"iteration": 20}}',
        '{"snapshots": [{"iteration": "20", "validation_loss": 1, "sha256": ""}]}',
        '{"snapshots": [{"iteration": 20, "validation_loss": [], "sha256": ""}]}',
        '{"snapshots": [{"iteration": 20, "validation_loss": 1, "sha256": 5}]}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_a_line(run, content):
    (run / "best.json").write_text(content)
    with pytest.raises(InputError, match=r"best\.json is not a list of the best snapshots"):
        best_snapshot(run)


def test_a_file_of_another_run_is_refused(run):
    (run / "iter_20.npz").write_bytes(b"of another run")
    with pytest.raises(InputError, match=r"names iter_20\.npz as the best, which has changed"):
        best_snapshot(run)
    (run / "iter_20.npz").unlink()
    with pytest.raises(InputError, match=r"names iter_20\.npz as the best, which is missing"):
        best_snapshot(run)


def test_what_training_replaces_meanwhile_is_looked_up_again(run, monkeypatch):
    newer = KeptSnapshot(100, 0.5, sha256_of(run / "iter_100.npz"))

    def replaced_meanwhile(path):
        monkeypatch.undo()
        write_best(run / "best.json", [newer])
        path.unlink()
        return sha256_of(path)

    monkeypatch.setattr("nncompress.runs.best_file.sha256_of", replaced_meanwhile)
    assert best_snapshot(run) == run / "iter_100.npz"
