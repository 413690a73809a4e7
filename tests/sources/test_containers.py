"""Zarr, Parquet and object storage, as their own libraries write them."""

import json

import numpy as np
import pytest

from nncompress import InputError
from nncompress.formats.safetensors import write_tensors
from nncompress.formats.work import WorkDirectory
from nncompress.sources.open_rows import open_rows
from nncompress.sources.stored import parquet as stored_parquet
from nncompress.sources.tables import files_of, open_table
from tests.sources.test_row_source import ROWS, TAKEN, D, N, check, save_words, words_of


def refused(source, message, **options):
    with pytest.raises(InputError, match=message), open_rows(source, **options) as rows:
        rows.read(0, rows.num_rows)


def in_table(source, expected=ROWS, found_words=None, **options):
    with open_table(source, **options) as table:
        assert table.matrix.take(np.arange(len(table.matrix))).tolist() == expected.tolist()
        assert table.words == found_words


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("code", ["<f2", "<f4", ">f4", "<f8"])
def test_zarr_arrays_are_read(tmp_path, version, code):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "x"
    array = zarr.create_array(path, shape=(N, D), chunks=(50, 2), dtype=code, zarr_format=version)
    array[:] = ROWS.astype(code)
    check(path, ROWS.astype(code))
    check(array, ROWS.astype(code))
    in_table(path, ROWS.astype(code).astype(np.float32))
    before = check(path, ROWS[:100].astype(code), limit=100)
    array[60, 1] = 7
    with open_rows(path, limit=100) as rows:
        assert rows.identity() != before
        assert rows.read(60, 61)[0, 1] == 7
    assert {file.relative_to(path).parts[0] for file in files_of(path)} >= (
        {"zarr.json", "c"} if version == 3 else {".zarray", "0.0"}
    )


def test_zarr_groups_and_zips_are_read(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    group.create_array("vectors", data=ROWS)
    group.create_array("ids", data=np.arange(N))
    check(tmp_path / "g.zarr")
    group.create_array("more", data=ROWS[:3])
    refused(tmp_path / "g.zarr", "is a group of ids, more, vectors; name one")
    refused(tmp_path / "g.zarr", "is a group of", tensor="nothing")
    refused(tmp_path / "g.zarr", "holds int64|has shape", tensor="ids")
    check(tmp_path / "g.zarr", ROWS[:3], tensor="more")
    refused(tmp_path / "g.zarr/more", "leave the tensor's name out", tensor="x")
    store = zarr.storage.ZipStore(tmp_path / "z.zarr.zip", mode="w")
    zarr.create_array(store, data=ROWS)
    store.close()
    check(tmp_path / "z.zarr.zip")


def test_zarr_that_holds_no_vectors_is_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "i.zarr", data=ROWS.astype(np.int32))
    zarr.create_array(tmp_path / "c.zarr", data=ROWS[None])
    zarr.create_array(tmp_path / "d.zarr", data=ROWS, chunks=(50, D), compressors="auto")
    refused(tmp_path / "i.zarr", r"i\.zarr holds int32; wanted float16")
    refused(tmp_path / "c.zarr", r"c\.zarr has shape \(1, 237, 5\); wanted two dimensions")
    refused(tmp_path / "e.zarr", r"e\.zarr does not exist")
    chunk = next(path for path in sorted((tmp_path / "d.zarr/c").rglob("*")) if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:10])
    refused(tmp_path / "d.zarr", r"d\.zarr cannot be read: ")
    (tmp_path / "d.zarr/zarr.json").write_text("{")
    refused(tmp_path / "d.zarr", r"d\.zarr cannot be read: ")


def save_parquet(path, rows=ROWS, kind=None, more=None, **options):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kind = kind or arrow.list_(arrow.from_numpy_dtype(rows.dtype), rows.shape[1])
    columns = {"id": np.arange(len(rows)), "vector": arrow.array(list(rows), kind), **(more or {})}
    parquet.write_table(arrow.table(columns), path, **options)


@pytest.mark.parametrize("code", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("fixed", [True, False])
def test_parquet_is_read(tmp_path, code, fixed, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    monkeypatch.setattr(stored_parquet, "_BATCH_BYTES", 16 * D * np.dtype(code).itemsize)
    kind = None if fixed else arrow.list_(arrow.from_numpy_dtype(np.dtype(code)))
    rows = ROWS.astype(code)
    save_parquet(tmp_path / "x.parquet", rows, kind, row_group_size=60)
    check(tmp_path / "x.parquet", rows)
    check(tmp_path / "x.parquet", rows[:99], tensor="vector", limit=99)
    in_table(tmp_path / "x.parquet", rows.astype(np.float32))


def test_each_row_group_is_read_once_by_a_take(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(stored_parquet, "_BATCH_BYTES", 16 * 4 * D)
    save_parquet(tmp_path / "x.parquet", row_group_size=60)
    read, groups = parquet.ParquetFile.iter_batches, []

    def watched(self, *arguments, **options):
        groups.extend(options["row_groups"])
        return read(self, *arguments, **options)

    with open_rows(tmp_path / "x.parquet") as rows:
        monkeypatch.setattr(parquet.ParquetFile, "iter_batches", watched)
        rows.take(TAKEN)
        assert groups == [0, 1, 2, 3]
        groups.clear()
        for first in range(0, 200, 10):
            rows.read(first, first + 10)
        assert groups == [0, 1, 2, 3]


def test_parquet_in_directories_and_lists_is_joined(tmp_path):
    for name, rows in (("b", ROWS[:40]), ("a", ROWS[40:100]), ("c", ROWS[100:])):
        more = {"token": words_of(len(rows), ord(name))}
        save_parquet(tmp_path / f"{name}.parquet", rows, more=more)
    (tmp_path / "_SUCCESS").touch()
    save_words(tmp_path / "words", words_of(N))
    ordered = np.concatenate([ROWS[40:100], ROWS[:40], ROWS[100:]])
    check(tmp_path, ordered)
    check([tmp_path / f"{name}.parquet" for name in "bac"])
    tokens = [*words_of(60, ord("a")), *words_of(40, ord("b")), *words_of(137, ord("c"))]
    for source in (tmp_path, [tmp_path / f"{name}.parquet" for name in "abc"]):
        with open_rows(source, words="token") as rows:
            assert len(rows.words) == N
            assert rows.words.read(0, N) == tokens
            assert rows.words.read(95, 105) == tokens[95:105]
        in_table(source, ordered, tokens, words="token")
        in_table(source, ordered, words_of(N), words=tmp_path / "words")
    assert set(files_of(tmp_path)) >= {tmp_path / "a.parquet", tmp_path / "c.parquet"}
    save_parquet(tmp_path / "c.parquet", ROWS[100:])
    refused(tmp_path, "only one of .* has the column", words="token")
    save_parquet(tmp_path / "c.parquet", ROWS[100:, :3])
    refused(tmp_path, r"c\.parquet, column 'vector' has 3 columns, but .*a\.parquet.* has 5")


def test_words_that_may_be_a_file_or_a_column_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_parquet("x.parquet", more={"token": words_of(N)})
    save_words(tmp_path / "token", words_of(N, 7))
    refused("x.parquet", "token is a file and also a column of x.parquet", words="token")
    with open_rows("x.parquet", words=tmp_path / "token") as rows:
        assert rows.words.read(0, 1) == ["wörd 7"]


def test_parquet_that_holds_no_vectors_is_refused(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    lists = arrow.list_(arrow.float32())
    fixed = arrow.list_(arrow.float32(), D)
    ragged = [[1.0] * D, [1.0] * (D - 1)]
    cases = [
        (
            {},
            {"more": arrow.array(list(ROWS), fixed)},
            {},
            "2 columns of vectors; name one of vector, more with --tensor",
        ),
        ({}, {}, {"tensor": "id"}, "no column 'id' of vectors; name one of vector"),
    ]
    for options, more, opening, message in cases:
        save_parquet(path, more=more, **options)
        refused(path, message, **opening)
    for column, message in (
        (arrow.array(ragged, lists), "has 4 numbers in row 1, but 5 in row 0; wanted vectors of"),
        (arrow.array([*ragged[:1] * 9, None], lists), "has null in row 9; wanted a vector"),
        (arrow.array([*ragged[:1] * 9, [1, None, 2, 3, 4]], lists), "null in row 9, column 1"),
        (arrow.array([*ragged[:1] * 9, None], fixed), "has null in row 9; wanted a vector"),
        (arrow.array([None, *ragged[:1] * 9], lists), "in row 0"),
        (arrow.array([], lists), "is empty"),
        (arrow.array([[]] * 3, lists), "no vector in row 0; wanted at least one column"),
        (arrow.array([[1, 2]] * 3), "0 columns of vectors; it has vector: list<.*int64"),
        (arrow.array([1.0, 2.0]), "0 columns of vectors; it has vector: double"),
    ):
        arrow_parquet = pytest.importorskip("pyarrow.parquet")
        arrow_parquet.write_table(arrow.table({"vector": column}), path)
        refused(path, message)
    path.write_bytes(path.read_bytes()[:-20])
    refused(path, r"x\.parquet cannot be read: ")
    path.write_bytes(b"")
    refused(path, r"x\.parquet cannot be read: ")


@pytest.fixture
def memory():
    fsspec = pytest.importorskip("fsspec")
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


def test_object_stores_are_read_by_ranges(tmp_path, memory, monkeypatch):
    np.save(tmp_path / "a.npy", ROWS)
    np.save(tmp_path / "f.npy", np.asfortranarray(ROWS))
    save_words(tmp_path / "a.word", words_of(N))
    write_tensors(tmp_path / "e.safetensors", {"embedding": ROWS, "other": ROWS[0]}, {})
    index = {"weight_map": {"embedding": "e.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save_parquet(tmp_path / "p.parquet", row_group_size=60)
    for path in tmp_path.iterdir():
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    read = []
    cat = memory.cat_file
    monkeypatch.setattr(
        type(memory),
        "cat_file",
        lambda self, path, start=None, end=None: read.append(end - start) or cat(path, start, end),
    )
    identity = check("memory://bucket/a.npy", words=words_of(N))
    assert identity["files"][0]["bytes"] == (tmp_path / "a.npy").stat().st_size
    assert identity["files"][0]["created"]
    read.clear()
    with open_rows("memory://bucket/a.npy") as rows:
        rows.read(3, 5)
        assert sum(read) < 12_000
    check("memory://bucket/e.safetensors")
    check("memory://bucket/model.safetensors.index.json")
    check("memory://bucket/p.parquet")
    in_table("memory://bucket/p.parquet")
    in_table("memory://bucket/a.npy", ROWS, words_of(N))
    with open_rows(ROWS, words="memory://bucket/a.word") as rows:
        assert rows.words.read(5, 7) == words_of(2, 5)
    refused("memory://bucket/f.npy", "stored by columns")
    refused("memory://bucket/none.npy", "memory://bucket/none.npy does not exist")
    refused("memory://bucket/a.word", "is of a kind that cannot be read remotely")
    memory.pipe("/bucket/a.npy", (tmp_path / "a.npy").read_bytes()[:900])
    refused("memory://bucket/a.npy", "has 900 bytes, but an array")


def test_zarr_in_object_stores_is_read(memory):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(
        zarr.storage.FsspecStore.from_url("memory://bucket/z.zarr"), data=ROWS, chunks=(50, D)
    )
    check("memory://bucket/z.zarr")
    in_table("memory://bucket/z.zarr")
    refused("memory://bucket/none.zarr", r"none\.zarr (does not exist|cannot be read)")


def test_a_server_that_fails_is_told_in_a_line(tmp_path, memory, monkeypatch):
    np.save(tmp_path / "a.npy", ROWS)
    memory.pipe("/bucket/a.npy", (tmp_path / "a.npy").read_bytes())

    def fail(self, path, **options):
        raise TimeoutError("no answer\nfor 30 s")

    with open_rows("memory://bucket/a.npy") as rows:
        monkeypatch.setattr(type(memory), "cat_file", fail)
        with pytest.raises(InputError, match=r"a\.npy cannot be read: no answer for 30 s"):
            rows.read(0, 9)


def test_urls_that_nothing_is_known_of_are_refused(monkeypatch):
    pytest.importorskip("fsspec")
    refused("bogus://bucket/a.npy", "bogus://bucket/a.npy cannot be read: Protocol not known")
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    refused("s3://bucket/a.npy", r"needs fsspec, which is not installed; .*nncompress\[scale\]")


@pytest.mark.parametrize("kind", ["zarr", "parquet"])
def test_missing_libraries_are_named(tmp_path, monkeypatch, kind):
    (tmp_path / f"x.{kind}").mkdir()
    (tmp_path / f"x.{kind}/x.{kind}").touch()
    library = {"zarr": "zarr", "parquet": "pyarrow"}[kind]
    for name in (library, f"{library}.parquet"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    refused(tmp_path / f"x.{kind}", rf"needs {library}, which is not installed")


def test_what_was_converted_is_kept_with_the_work(tmp_path, monkeypatch):
    save_parquet(tmp_path / "x.parquet")
    with WorkDirectory.open(tmp_path / "w") as work:
        in_table(tmp_path / "x.parquet", work=work)
        monkeypatch.setattr(stored_parquet.ParquetRows, "read", None)
        in_table(tmp_path / "x.parquet", work=work)
    save_parquet(tmp_path / "x.parquet", 2 * ROWS)
    with WorkDirectory.open(tmp_path / "w") as work, pytest.raises(InputError, match="the source"):
        in_table(tmp_path / "x.parquet", work=work)
