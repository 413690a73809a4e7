"""Files of other kinds, and arrays in ``.npz`` files."""

import bz2
import io
import tarfile

import numpy as np
import pytest

from nncompress import FormatError, InputError
from nncompress.sources.foreign import ending_of
from nncompress.sources.open_rows import open_rows
from nncompress.sources.tables import open_table

TEXT = b"the 1 2\nof 3 4\n"
ROWS = np.array([[1, 2], [3, 4]], np.float32)


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("t.txt"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("t.pth", b"\x80\x02\x8a", r"torch\.load\('.*t\.pth', weights_only=True\)"),
        ("pytorch_model.bin", b"PK\x03\x04" + bytes(26) + b"m/data.pkl", r"torch\.load"),
        ("t.pkl", b"\x80\x04\x95", r"with its library"),
        ("t.h5", b"\x89HDF\r\n\x1a\n", r"h5py\.File\('.*t\.h5'\)"),
        ("t.gguf", b"GGUF\3\0", "safetensors"),
        ("t.onnx", b"\x08\x07\x12", r"onnx\.numpy_helper"),
        ("t.msgpack", b"\x81\xa3a\0", "msgpack"),
        ("t.zst", b"\x28\xb5\x2f\xfd", r"zstd -dc .*t\.zst \| nncompress compress - "),
        ("t.7z", b"7z\xbc\xaf'\x1c", "7z x "),
        ("my t.rar", b"Rar!", r"unrar x '.*/my t\.rar'"),
        ("t.tar", tar(), "tar -xf "),
        ("t.tsv", TEXT.replace(b" ", b"\t"), r"tr '\\t' ' ' < .*t\.tsv"),
        ("t.csv", TEXT.replace(b" ", b","), "tr ',' ' ' <"),
        ("t.npy.bz2", bz2.compress(b"\x93NUMPY\x01"), r"decompress it first, to .*\.npy"),
    ],
)
def test_a_file_of_another_kind_gets_advice_that_fits(tmp_path, name, content, advice):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=advice), open_table(tmp_path / name):
        pass


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.h5", "t.onnx", "t.pb"])
def test_text_is_read_whatever_its_name_says(tmp_path, name):
    (tmp_path / name).write_bytes(TEXT)
    with open_table(tmp_path / name) as table:
        assert table.words == ["the", "of"]


def test_text_compressed_with_bzip2_is_read(tmp_path):
    (tmp_path / "t.txt.bz2").write_bytes(bz2.compress(TEXT))
    with open_table(tmp_path / "t.txt.bz2") as table:
        assert (table.matrix.take(np.arange(2)) == ROWS).all()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_only_matrix_of_an_npz_file_is_read_with_its_words(tmp_path, save):
    path = tmp_path / "t.npz"
    save(path, vectors=ROWS, words=np.array(["thé", "of"]), counts=np.array([3, 2]))
    with open_table(path) as table:
        assert table.words == ["thé", "of"]
        assert (table.matrix.take(np.arange(2)) == ROWS).all()
    with open_rows(path) as rows:
        assert (rows.read(0, 2) == ROWS).all()
        assert rows.identity()["files"][0]["name"] == str(path.resolve())


def test_arrays_of_an_npz_file_are_named(tmp_path):
    path = tmp_path / "t.npz"
    tokens = np.array(["a", "b"])
    np.savez(path, one=ROWS, two=2 * ROWS, tokens=tokens, other=tokens, ids=np.arange(2))
    with open_table(path, tensor="two", words="tokens") as table:
        assert table.words == ["a", "b"]
        assert (table.matrix.take(np.arange(2)) == 2 * ROWS).all()
    with open_table(path, tensor="one") as table:
        assert table.words is None
    for options, message in [
        ({}, r"holds one \(float32, 2 x 2\), .*with --tensor"),
        ({"tensor": "three"}, "wanted one that is a matrix .* for 'three'"),
        ({"tensor": "ids"}, "wanted one that is a matrix .* for 'ids'"),
        ({"tensor": "one", "words": "ids"}, "'ids' holds int64"),
        ({"tensor": "one", "words": "none"}, "none does not exist"),
    ]:
        with pytest.raises(InputError, match=message), open_table(path, **options):
            pass


def test_of_an_npz_file_nothing_is_unpickled_and_damage_is_refused(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, vectors=ROWS, words=np.array(["a", None], object))
    told = r"'words.npy' holds Python objects; .* is passed over. If it holds the words, save"
    with pytest.warns(UserWarning, match=told), open_table(path) as table:
        assert table.words is None
    for asked in ({"words": "words"}, {"tensor": "words"}):
        with pytest.raises(FormatError, match=r"'words\.npy' holds Python objects"):
            open_table(path, **asked).__enter__()
    np.savez(path, objects=np.array([[None]], object))
    with pytest.raises(FormatError, match=r"objects\.npy' holds Python objects"), open_table(path):
        pass
    np.savez_compressed(path, zeros=np.zeros((1 << 12, 1 << 10)))
    with pytest.raises(FormatError, match="more than numbers do"), open_table(path):
        pass
    np.savez(path, vectors=np.random.default_rng(0).normal(size=(50, 20)))
    data = bytearray(path.read_bytes())
    data[4_000] ^= 255
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"undamaged \.npz file"), open_table(path):
        pass
    path.write_bytes(data[:2_000])
    with pytest.raises(FormatError, match=r"undamaged \.npz file"), open_table(path):
        pass


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_the_ending_of_a_file_is_told_by_its_first_bytes(save):
    stream = io.BytesIO()
    save(stream, ROWS)
    assert ending_of(stream.getvalue()) == {np.save: ".npy", np.savez: ".npz"}[save]
    assert ending_of(TEXT) == ".txt"
    assert ending_of(b'{"model": {}}') == ".json"
