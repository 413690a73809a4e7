import shutil
from types import SimpleNamespace

import pytest

from nncompress.errors import InputError
from nncompress.formats import space
from nncompress.formats.space import check_space


@pytest.fixture
def free(monkeypatch):
    def set_free(count):
        usage = SimpleNamespace(free=count)
        monkeypatch.setattr(space.shutil, "disk_usage", lambda path: usage)

    return set_free


def test_needs_on_one_file_system_are_added_up(tmp_path, free):
    needs = {tmp_path / "a.nnc": 600, tmp_path / "no" / "such" / "work": 400}
    free(1_000)
    check_space(needs, "the table", "do this")
    free(999)
    with pytest.raises(InputError, match=r"the table needs 1,000 bytes in .*a\.nnc and .*work, .*"
                       r"999 are free; free some space, or do this"):  # fmt: skip
        check_space(needs, "the table", "do this")


def test_needs_on_different_file_systems_are_not(tmp_path, free, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(space, "_device", lambda path: path.name)
    free(1_000)
    check_space({tmp_path / "one": 900, tmp_path / "two": 900}, "the table", "do this")
    with pytest.raises(InputError, match=r"needs 1,001 bytes in .*two, where 1,000 are"):
        check_space({tmp_path / "one": 900, tmp_path / "two": 1_001}, "the table", "do this")


def test_it_asks_the_real_disk(tmp_path):
    count = shutil.disk_usage(tmp_path).free
    with pytest.raises(InputError):
        check_space({tmp_path / "x": 2 * count + 1}, "it", "do this")
    check_space({tmp_path / "x": 1}, "it", "do this")
