import errno
import io
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.chainer_support.compatibility import chainer
from nncompress.runs.log_report import AppendingLogReport, WindowSummary, append


def run(path, losses, weights):
    """Observes each loss with its weight, and logs at every second one."""
    moment = SimpleNamespace(now=0)
    ours = AppendingLogReport(lambda trainer: moment.now % 2 == 1, "ours.log")
    theirs = chainer.training.extensions.LogReport(filename="theirs.log")
    theirs._trigger = lambda trainer: moment.now % 2 == 1
    for moment.now, (loss, weight) in enumerate(zip(losses, weights, strict=True)):
        trainer = SimpleNamespace(
            observation={"main/loss": (loss, weight)},
            is_before_training=False,
            updater=SimpleNamespace(epoch=moment.now // 3, iteration=moment.now),
            elapsed_time=float(moment.now),
            out=str(path),
        )
        for report in (ours, theirs):
            report(trainer)
        yield json.loads((path / "ours.log").read_text()) if moment.now else None
    assert ours.log == theirs.log


def test_the_file_is_chainers_after_every_entry(tmp_path):
    seen = list(run(tmp_path, [4.0, 1.0, 2.0, 3.0, 5.0, 8.0], [1, 3, 20, 20, 20, 5]))
    assert json.loads((tmp_path / "theirs.log").read_text()) == seen[-1]
    assert [len(entries) for entries in seen[1:]] == [1, 1, 2, 2, 3]
    assert seen[-1][0]["main/loss"] == (4 + 3 * 1) / 4


def test_a_resumed_run_drops_what_its_snapshot_does_not_know(tmp_path):
    list(run(tmp_path, [1.0] * 6, [1] * 6))
    list(run(tmp_path, [2.0] * 4, [1] * 4))
    entries = json.loads((tmp_path / "ours.log").read_text())
    assert [entry["main/loss"] for entry in entries] == [2.0, 2.0]


def test_what_updates_report_is_averaged_and_of_all_else_the_latest_counts(tmp_path):
    summary = WindowSummary()
    summary.add({"main/loss": (4.0, 1), "validation/main/loss": 9.0, "mine": 1.0})
    summary.add({"main/loss": (2.0, 3), "validation/main/loss": 8.0})
    expected = {"main/loss": 2.5, "validation/main/loss": 8.0, "mine": 1.0}
    assert summary.compute_mean() == expected

    path = str(tmp_path / "summary.npz")
    chainer.serializers.save_npz(path, summary)
    restored = WindowSummary()
    chainer.serializers.load_npz(path, restored)
    restored.add({"main/loss": (2.5, 4), "mine": 3.0})
    assert restored.compute_mean() == expected | {"mine": 3.0}


def strict(text):
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_what_is_not_finite_is_null(tmp_path):
    list(run(tmp_path, [1.0, 2.0, float("inf"), 3.0, float("-inf"), 4.0], [1] * 6))
    entries = strict((tmp_path / "ours.log").read_text())
    assert [entry["main/loss"] for entry in entries] == [1.5, None, None]


class FullDisk(io.BytesIO):
    """A file on a disk that has room for so many bytes, and takes a few at a time."""

    def __init__(self, content, room):
        super().__init__(content)
        self.room = len(content) + room

    def write(self, data):
        data = bytes(data[: max(0, min(7, self.room - self.tell()))])
        if not data:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@given(st.integers(0, 60))
def test_an_entry_that_finds_no_room_leaves_the_list_as_it_was(room):
    file = FullDisk(b'[\n{"a": 1}\n]\n', room)
    before = file.getvalue()
    entry = json.dumps({"b": "x" * 20}).encode()
    try:
        append(file, entry)
    except OSError:
        assert file.getvalue() == before
        file.room = 1_000
        append(file, entry)
    assert json.loads(file.getvalue()) == [{"a": 1}, {"b": "x" * 20}]


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path, monkeypatch):
    def fail(file, entry):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nncompress.runs.log_report.append", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*ours\.log'"):
        list(run(tmp_path, [1.0] * 4, [1] * 4))
