"""What a run goes on from, and what of its abandoned future stays: nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.runs.best_file import best_snapshot, snapshots_by_name
from nncompress.runs.directory import alone_in
from nncompress.runs.trainer_snapshots import read_trainer_snapshot, trainer_snapshots
from tests.runs.conftest import contents


def names(paths):
    return [path.name for path in paths]


def test_the_newest_two_snapshots_are_kept(train):
    run = train("a", "-e", "7", "--snapshot-every", "10")
    assert names(trainer_snapshots(run)) == ["trainer_snapshot_42.npz", "trainer_snapshot_40.npz"]
    assert json.loads((run / "config.json").read_text())["snapshot_every"] == "10"


def test_a_damaged_snapshot_is_passed_over(train, resume):
    run = train("a", "-e", "7", "--snapshot-every", "10")
    expected = contents(run)
    newest = run / "trainer_snapshot_42.npz"
    content = bytearray(newest.read_bytes())
    at = content.index(b"updater/model:main/codebook.npy") + 300
    content[at] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match=r"_42\.npz.*; continuing from .*snapshot_40\.npz"):
        resume(run)
    assert contents(run) == expected
    read_trainer_snapshot(newest)
    newest.write_bytes(content)
    with pytest.raises(InputError, match="trainer_snapshot_42"):
        resume(newest)


def test_a_snapshot_whose_members_were_exchanged_is_damaged(train):
    run = train("a", "-e", "1")
    path = run / "trainer_snapshot_6.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["updater/model:main/codebook"] += 1
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"_6\.npz is damaged: .* SHA-256"):
        read_trainer_snapshot(path)
    (run / "trainer_snapshot_0.npz").rename(path)
    with pytest.raises(InputError, match="is of iteration 0, which disagrees with its name"):
        read_trainer_snapshot(path)


def test_the_future_that_a_run_goes_back_behind_is_gone(train, resume):
    arguments = ["--recipe", "paper", "--snapshot-every", "10"]
    shorter = train("b", "-e", "5", *arguments)
    longer = train("c", "-e", "7", *arguments)
    for path in trainer_snapshots(longer):
        path.unlink()
    for path in trainer_snapshots(shorter)[1:]:
        path.rename(longer / path.name)  # of iteration 20, in the past of both
    resume(longer, "-e", "5")
    assert contents(longer) == contents(shorter)
    assert max(snapshots_by_name(longer)) <= 30
    assert names(trainer_snapshots(longer))[0] == "trainer_snapshot_30.npz"


def test_a_run_that_was_killed_before_its_first_snapshot_begins_anew(train, resume):
    run = train("a", "-e", "3")
    expected = contents(run)
    for path in run.iterdir():
        if path.name not in ("config.json", "train.log"):
            path.unlink()
    resume(run)
    assert contents(run) == expected
    for path in trainer_snapshots(run):
        path.unlink()
    with pytest.raises(InputError, match="has no trainer snapshot"):
        resume(run)


def test_a_run_with_the_one_snapshot_of_former_versions_goes_on(train, resume):
    """That had no digest, and the best parameters in their own file alone."""
    run = train("a", "-e", "7", "--recipe", "paper")
    part = train("b", "-e", "4", "--recipe", "paper")
    newest, start = trainer_snapshots(part)
    with np.load(newest) as archive:
        arrays = {
            name: archive[name]
            for name in archive.files
            if name != "sha256" and "best_parameters" not in name
        }
    newest.unlink()
    start.unlink()
    np.savez(part / "trainer_snapshot.npz", **arrays)
    (part / "best.json").unlink()
    resume(part, "-e", "7")
    found, expected = contents(part), contents(run)
    # The shorter run has reported at its own end.
    assert found.pop("chainer_report_iteration.log")[-1]["iteration"] == 42
    del expected["chainer_report_iteration.log"]
    assert found == expected


def test_the_start_of_a_run_of_plain_chainer_can_be_continued(train, resume):
    def optimizer():
        made = chainer.optimizers.Adam(1e-3)
        made.beta1 = np.float64(0.8)
        return made

    kept = {}

    @chainer.training.make_extension(trigger=(1, "epoch"))
    def watch(trainer):
        kept.setdefault("start", Path(trainer.out, "trainer_snapshot_0.npz").read_bytes())

    watch.serialize = lambda serializer: serializer("nothing", None)
    run = train("a", "-e", "2", optimizer=optimizer(), extensions=[watch])
    expected = contents(run)
    for path in trainer_snapshots(run):
        path.unlink()
    (run / "trainer_snapshot_0.npz").write_bytes(kept["start"])
    resume(run / "trainer_snapshot_0.npz", optimizer=optimizer(), extensions=[watch])
    assert contents(run) == expected


def test_what_is_no_state_to_go_on_from_is_refused(train, resume, tmp_path):
    run = train("a", "-e", "1")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    for path, message in [
        (best_snapshot(run), "is not a trainer snapshot; wanted the run directory"),
        (run / "config.json", "is not a trainer snapshot"),
        (run / "trainer_snapshot_5.npz", "does not exist"),
        (tmp_path, "wanted a run directory of train_comp.py"),
    ]:
        with pytest.raises(InputError, match=message):
            resume(path)
    for period in ("often", "0"):
        with pytest.raises(InputError, match="the time between trainer snapshots is"):
            resume(run, "--snapshot-every", period)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_run_that_another_process_trains_is_left_alone(train, resume):
    run = train("a", "-e", "1")
    with alone_in(run):
        before = {path.name: path.read_bytes() for path in run.iterdir()}
        with pytest.raises(InputError, match="another process trains in"):
            resume(run, "-e", "2")
        assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    resume(run, "-e", "2")


def test_a_run_does_not_go_on_with_other_numbers(train, resume, tmp_path):
    run = train("a", "-e", "1")
    rows = np.load(tmp_path / "matrix.npy")
    np.save(tmp_path / "matrix.npy", rows + 1)
    with pytest.raises(InputError, match="has changed since the run"):
        resume(run, "-e", "2")
    np.save(tmp_path / "matrix.npy", rows)
    resume(run, "-e", "2")


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"snapshots": [{"iteration": 1, "validation_loss": 1' + "0" * 400 + "}]}",
        "",
    ],
)
def test_a_hostile_list_of_the_best_is_one_line(train, content):
    run = train("a", "-e", "1")
    (run / "best.json").write_text(content)
    with pytest.raises(InputError, match=r"best\.json is not a list of the best snapshots"):
        best_snapshot(run)


def test_files_of_the_users_that_are_called_nearly_as_snapshots_stay(train, resume):
    run = train("a", "-e", "1")
    for name in ("iter_0099.npz", "iter_x.npz"):
        (run / name).write_text("mine")
    resume(run, "-e", "2")
    assert (run / "iter_0099.npz").read_text() == (run / "iter_x.npz").read_text() == "mine"
