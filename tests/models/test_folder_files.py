import os

import pytest

from nncompress import InputError
from nncompress.models.folder_files import copy_the_rest, files_in, folder_bytes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model/deep").mkdir(parents=True)
    (tmp_path / "model/deep/a").write_bytes(b"abc")
    (tmp_path / "model/b").write_bytes(b"de")
    return tmp_path / "model"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_is_copied_with_what_links_lead_to(folder, tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/1").write_bytes(b"f")
    (folder / "link").symlink_to("../blobs/1")  # as a cache of downloads has them
    (folder / "again").symlink_to("deep")
    (folder / "empty").mkdir()
    assert folder_bytes(folder) == 3 + 2 + 1 + 3
    (tmp_path / "copy").mkdir()
    copy_the_rest(folder, tmp_path / "copy", [folder.relative_to(folder) / "b"])
    assert names(tmp_path / "copy") == ["again", "again/a", "deep", "deep/a", "empty", "link"]
    assert (tmp_path / "copy/link").read_bytes() == b"f"
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.symlink_to("nowhere"), "is a broken link"),
        (lambda x: x.symlink_to("odd"), "is a broken link"),
        (lambda x: x.symlink_to("."), "to a folder that contains it"),
        (lambda x: x.symlink_to("/"), "to a folder outside"),
        (os.mkfifo, "is not a regular file"),
    ],
)
def test_what_cannot_be_copied_is_refused_and_not_left_out(folder, spoil, message):
    spoil(folder / "deep/../odd")
    with pytest.raises(InputError, match=f"odd .*{message}; wanted a folder of files"):
        files_in(folder)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["deep", "b"])
def test_what_may_not_be_read_is_refused(folder, name):
    (folder / name).chmod(0)
    with pytest.raises(InputError, match=f"{name} cannot be read; wanted a folder of files"):
        files_in(folder)
    (folder / name).chmod(0o700)
