from pathlib import Path

import pytest

from nncompress.errors import OutputError
from nncompress.formats import rescue
from nncompress.formats.files import atomic_path
from nncompress.formats.rescue import write_or_rescue


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The temporary directory and the home directory; a name in ``full`` cannot be written to."""
    for name in ("temporary", "home", "wanted"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(rescue.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path


def writer(full):
    def write(directory):
        if any(name in str(directory) for name in full):
            raise OutputError(f"{directory}/x cannot be written: No space left on device", 28)
        with atomic_path(directory / "x") as temporary:
            temporary.write_text("result")

    return write


@pytest.mark.parametrize(
    ("full", "holds"),
    [(["wanted"], "temporary"), (["wanted", "temporary"], "home")],
)
def test_results_are_kept_where_there_is_room(places, full, holds):
    with pytest.raises(OutputError, match=r"wanted/x cannot be written: No space .*; what was"):
        write_or_rescue(places / "wanted", writer(full))
    (kept,) = places.rglob("x")
    assert kept.read_text() == "result"
    assert kept.parent.parent == places / holds
    assert len(list(places.rglob("nncompress-saved-*"))) == 1


def test_without_room_anywhere_the_first_error_counts(places):
    with pytest.raises(OutputError, match=r"wanted/x cannot be written: No space left on device$"):
        write_or_rescue(places / "wanted", writer(["wanted", "temporary", "home"]))
    assert not list(places.rglob("nncompress-saved-*"))


def test_results_that_can_be_written_are_nowhere_else(places):
    write_or_rescue(places / "wanted", writer([]))
    assert [path.parent.name for path in places.rglob("x")] == ["wanted"]
