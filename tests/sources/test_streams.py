import gzip
import lzma
import re
import warnings
import zipfile

import pytest

from nncompress import progress
from nncompress.errors import InputError
from nncompress.sources import streams
from nncompress.sources.streams import open_stream
from nncompress.sources.tables import open_table

TEXT = b"".join(b"%d %d\n" % (i, i * i) for i in range(9_000))


def read(path):
    with open_stream(path) as stream:
        return b"".join(stream)


def test_xz_streams_follow_each_other_with_padding_between(tmp_path):
    path = tmp_path / "v.xz"
    parts = [lzma.compress(part) for part in (TEXT[:100], b"", TEXT[100:])]
    path.write_bytes(parts[0] + bytes(4) + parts[1] + parts[2] + bytes(8))
    assert read(path) == TEXT
    path.write_bytes(lzma.compress(TEXT, lzma.FORMAT_ALONE))
    assert read(path) == TEXT


@pytest.mark.parametrize("change", [lambda data: data[:-9], lambda data: data + b"more"])
def test_damaged_xz_is_refused(tmp_path, change):
    (tmp_path / "v.xz").write_bytes(change(lzma.compress(TEXT)))
    with pytest.raises(InputError, match="cannot be decompressed"):
        read(tmp_path / "v.xz")


def test_xz_that_asks_for_much_memory_is_refused(tmp_path):
    # The old format's header has the size of the dictionary as it is, without a sum.
    old = bytearray(lzma.compress(TEXT, lzma.FORMAT_ALONE))
    old[1:5] = (1 << 30).to_bytes(4, "little")
    (tmp_path / "v.xz").write_bytes(old)
    with pytest.raises(InputError, match="Memory usage limit"):
        read(tmp_path / "v.xz")


def test_what_expands_like_no_vectors_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_SMALL_BYTES", 1 << 20)
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(bytes(900_000)))
    assert read(path) == bytes(900_000)
    path.write_bytes(gzip.compress(b"0 0\n" * 500_000))
    with pytest.raises(InputError, match="expands to more than 50 times its size"):
        read(path)


def test_looks_at_a_file_s_beginning_are_no_phases_of_reading(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_TOLD", 0.0)
    number = f"0.{'1' * 998}"
    (tmp_path / "x.txt").write_text(f"a {number} {number}\nb {number} {number}\n" * 300)
    with progress.overall(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # words come twice
        with open_table(tmp_path / "x.txt"):
            pass
    assert re.fullmatch(r"reading x.txt: \d.\d s\n", capsys.readouterr().err)


def test_zips_of_other_methods_are_refused(tmp_path):
    path = tmp_path / "v.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("v.txt", TEXT)
    with pytest.raises(InputError, match="a method other than deflate; extract it first"):
        read(path)


def test_a_file_without_a_name_is_read_from_a_zip(tmp_path):
    path = tmp_path / "v.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", TEXT)
    path.write_bytes(path.read_bytes().replace(b"a", b"\0"))  # where zipfile ends names
    assert read(path) == TEXT
