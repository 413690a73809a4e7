import json
import os
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from nncompress import FormatError, InputError
from nncompress.formats.safetensors import write_tensors
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.open_rows import open_rows
from nncompress.sources.tables import files_of, open_table

N, D = 237, 5
ROWS = np.random.default_rng(3).normal(size=(N, D)).astype(np.float32)
RANGES = [(0, N), (0, 1), (N - 1, N), (7, 7), (3, 150), (100, 237), (40, 41), (149, 152)]
TAKEN = np.array([0, 0, 1, 2, 9, 80, 81, 120, 121, 200, 236, 236])


def check(source, expected=ROWS, words=None, **options):
    with open_rows(source, **options) as rows:
        expected = np.asarray(expected, np.float32)
        assert (rows.num_rows, rows.dim) == expected.shape
        for first, last in [r for r in RANGES if r[1] <= len(expected)]:
            block = rows.read(first, last)
            assert block.dtype == np.float32
            assert block.flags.c_contiguous
            assert block.tolist() == expected[first:last].tolist()
        taken = TAKEN[len(expected) > TAKEN]
        assert rows.take(taken).tolist() == expected[taken].tolist()
        assert rows.take(taken[:0]).shape == (0, expected.shape[1])
        if words is None:
            assert rows.words is None
        else:
            assert rows.words.read(0, rows.num_rows) == words
        identity = rows.identity()
        assert json.loads(json.dumps(identity)) == identity
        assert identity["shape"] == list(expected.shape)
    return identity


def words_of(count, first=0):
    return [f"wörd {i}" for i in range(first, first + count)]


def save_words(path, words):
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")


@pytest.mark.parametrize("code", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_every_type_is_read_by_ranges(tmp_path, code, order):
    np.save(tmp_path / "x.npy", np.asarray(ROWS.astype(code), order=order))
    check(tmp_path / "x.npy", ROWS.astype(code))
    check(str(tmp_path / "x.npy"), ROWS.astype(code)[:152], limit=152)


def test_words_beside_npy_are_read_by_ranges(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    save_words(tmp_path / "x.word", words_of(N))
    check(tmp_path / "x.npy", words=words_of(N))
    check(tmp_path / "x.npy", ROWS[:9], words_of(9), limit=9)
    save_words(tmp_path / "others", words_of(N, 500))
    with open_rows(tmp_path / "x.npy", words=tmp_path / "others") as rows:
        assert rows.words.read(3, 5) == ["wörd 503", "wörd 504"]
    with open_rows(ROWS, words=[None, "a", *[None] * (N - 2)]) as rows:
        assert rows.words.read(0, 3) == [None, "a", None]


def test_words_are_checked_when_they_are_needed(tmp_path):
    save_words(tmp_path / "more", words_of(N + 1))
    save_words(tmp_path / "fewer", words_of(N - 2))
    (tmp_path / "none").write_bytes(b"")
    with (
        open_rows(ROWS, words=tmp_path / "more") as rows,
        pytest.raises(InputError, match="has 237 rows for 238 words"),
    ):
        rows.words.read(0, 1)
    with (
        open_rows(ROWS, words=tmp_path / "none") as rows,
        pytest.raises(InputError, match="no words for the 237 rows of"),
    ):
        len(rows.words)
    with open_rows(ROWS, words=tmp_path / "fewer") as rows:
        with pytest.warns(UserWarning, match="235 of 237 rows of .* have words"):
            assert len(rows.words) == N - 2
        assert rows.words.read(N - 3, N) == [f"wörd {N - 3}", None, None]
    for bad, message in (
        (["w"] * (N + 1), "has 237 rows for 238 words"),
        (["a", 5, *[None] * (N - 2)], "row 1 has the word 5"),
    ):
        with pytest.raises(InputError, match=message), open_rows(ROWS, words=bad):
            pass


def test_shards_are_joined_in_the_order_given(tmp_path):
    cuts = [0, 30, 31, 150, N]
    types = ["<f4", "<f8", ">f4", "<f8"]
    paths = [tmp_path / name for name in ("d.npy", "a.npy", "b.npy", "c.npy")]
    for path, (first, last), code in zip(paths, pairwise(cuts), types, strict=True):
        np.save(path, ROWS[first:last].astype(code))
    identity = check(paths)
    assert [file["name"] for file in identity["files"]] == [str(path) for path in paths]
    check([str(path) for path in paths], ROWS[:100], limit=100)
    save_words(paths[0].with_suffix(".word"), words_of(30))
    save_words(paths[2].with_suffix(".word"), words_of(9))
    expected = [*words_of(30), None, *words_of(9), *[None] * (N - 40)]
    with pytest.warns(UserWarning, match="39 of 237 rows of .*d.npy and 3 more shards have"):
        check(paths, words=expected)
    paths[0].with_suffix(".word").unlink()  # the last shard has words, and the first one none
    save_words(paths[3].with_suffix(".word"), words_of(N - 150))
    with pytest.warns(UserWarning, match="96 of 237 rows of"), open_rows(paths) as rows:
        assert len(rows.words) == N
    with (
        pytest.warns(UserWarning, match="1 of 32 rows of .* has a word"),
        open_rows(paths, limit=32) as rows,
    ):
        assert len(rows.words) == 32


def test_many_more_shards_than_are_kept_open_are_joined(tmp_path):
    paths = [tmp_path / f"{i}.npy" for i in range(100)]
    expected = np.resize(ROWS, (300, D))
    for i, path in enumerate(paths):
        np.save(path, expected[3 * i : 3 * i + 3])
    check(paths, expected)


def test_a_shard_that_is_exchanged_is_told(tmp_path):
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path in paths:
        np.save(path, ROWS)
    with open_rows(paths) as rows:
        before = rows.identity()
        os.utime(paths[1], ns=(5, 5))
        assert rows.identity() != before
        assert rows.identity()["files"][::2] == before["files"][::2]


def test_shards_that_do_not_agree_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    np.save(tmp_path / "b.npy", ROWS[:, :4])
    np.save(tmp_path / "c.npy", ROWS.astype(np.int32))
    for names, message in (
        ("ab", r"b\.npy has 4 columns, but .*a\.npy has 5; wanted shards of one table"),
        ("ac", r"c\.npy holds int32; wanted float16, float32 or float64"),
        ("ad", r"d\.npy does not exist; wanted"),
    ):
        paths = [tmp_path / f"{name}.npy" for name in names]
        with pytest.raises(InputError, match=message), open_rows(paths):
            pass


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39, -1e300])
def test_numbers_that_are_not_finite_are_named(tmp_path, value):
    rows = ROWS.astype(np.float64)
    rows[200, 3] = value
    np.save(tmp_path / "a.npy", ROWS[:50])
    np.save(tmp_path / "b.npy", rows[50:])
    message = rf"b\.npy, has {value} in row 200, column 3 \(counted from 0\)".replace("+", r"\+")
    with open_rows([tmp_path / "a.npy", tmp_path / "b.npy"]) as table:
        table.read(0, 200)
        with pytest.raises(InputError, match=message):
            table.read(150, N)
        with pytest.raises(InputError, match=message):
            table.take(np.array([0, 7, 200]))


def test_rows_that_float32_would_lose_are_refused():
    rows = ROWS.astype(np.float64)
    rows[100] = 1e-40
    rows[101] = 0
    with open_rows(rows) as table:
        table.read(101, N)
        with pytest.raises(InputError, match="no number larger than 1e-40 in row 100"):
            table.read(90, 110)


def test_rows_of_length_1_do_not_depend_on_blocks(tmp_path, random):
    wide = random.normal(size=(60, 301))
    wide[7] = 0
    expected = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)
    for name, array in (("c", wide), ("f", np.asfortranarray(wide))):
        np.save(tmp_path / f"{name}.npy", array)
        with open_rows(tmp_path / f"{name}.npy", unit_rows=True) as rows:
            whole = rows.read(0, 60)
            np.testing.assert_allclose(whole, expected, rtol=1e-6, atol=1e-9)
            for size in (1, 2, 7):
                blocks = [rows.read(i, min(i + size, 60)) for i in range(0, 60, size)]
                assert np.concatenate(blocks).tobytes() == whole.tobytes()
            assert rows.take(np.array([3, 30])).tobytes() == whole[[3, 30]].tobytes()


def test_arrays_and_their_like_are_wrapped():
    check(ROWS)
    check(ROWS.astype(">f8"))
    check(ROWS.tolist())
    check(EmbeddingMatrix(ROWS))
    check(SimpleNamespace(vectors=ROWS, index_to_key=words_of(N)), words=words_of(N))
    with (
        pytest.raises(InputError, match="which has its own"),
        open_rows(EmbeddingMatrix(ROWS), limit=2),
    ):
        pass
    unit = EmbeddingMatrix(ROWS, unit_rows=True)
    check(unit, unit.take(np.arange(N)), unit_rows=True)


class Sliced:
    """Rows that are made when they are asked for."""

    shape, dtype = (N, D), np.dtype(np.float64)

    def __init__(self, make=lambda numbers: ROWS[numbers]):
        self.make, self.most = make, 0

    def __getitem__(self, rows):
        numbers = np.arange(N)[rows]
        self.most = max(self.most, len(numbers))
        return self.make(numbers)


def test_objects_that_make_rows_are_never_asked_for_all():
    source = Sliced()
    with open_rows(source) as rows:
        assert rows.read(5, 9).tolist() == ROWS[5:9].tolist()
        assert rows.take(TAKEN).tolist() == ROWS[TAKEN].tolist()
        rows.identity()
    assert source.most <= 4
    check(Sliced())
    for make, message in (
        (lambda numbers: ROWS[numbers, :4], r"gave an array of float32 \(4, 4\)"),
        (lambda numbers: ROWS[numbers].astype(int), "gave an array of int64"),
        (lambda numbers: 1 / 0, "the Sliced cannot be read: division by zero"),
    ):
        with open_rows(Sliced(make)) as rows, pytest.raises(InputError, match=message):
            rows.read(5, 9)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (ROWS[0], r"has shape \(5,\); wanted two dimensions"),
        (ROWS.astype(int), "holds int64; wanted float16"),
        (ROWS[:0], "is empty"),
        (object(), "is a object; wanted an array"),
        ("nowhere.npy", "nowhere.npy does not exist"),
        ("nowhere.safetensors", "nowhere.safetensors does not exist"),
        ("nowhere.parquet", "nowhere.parquet does not exist"),
        ("nowhere.txt", "nowhere.txt does not exist"),
        ("x.codes", "by its name, codes of a table that is already compressed"),
    ],
)
def test_what_holds_no_rows_is_refused(source, message):
    with pytest.raises(InputError, match=message), open_rows(source):
        pass
    with pytest.raises(InputError, match="the limit on rows is 0"), open_rows(ROWS, limit=0):
        pass
    with pytest.raises(InputError, match="no named tensors"), open_rows(ROWS, tensor="x"):
        pass


def test_row_numbers_have_to_be_rows_in_rising_order():
    with open_rows(ROWS, limit=100) as rows:
        for first, last in ((-1, 3), (3, 2), (90, 101)):
            with pytest.raises(IndexError):
                rows.read(first, last)
        for numbers in ([-1, 3], [3, 100]):
            with pytest.raises(IndexError):
                rows.take(np.array(numbers))
        with pytest.raises(ValueError, match="do not rise"):
            rows.take(np.array([3, 2]))


def test_text_is_converted_first(tmp_path):
    lines = [
        f"{word.replace(' ', '_')} {' '.join(map(repr, row))}"
        for word, row in zip(words_of(N), ROWS.tolist(), strict=True)
    ]
    (tmp_path / "x.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    words = [word.replace(" ", "_") for word in words_of(N)]
    identity = check(tmp_path / "x.txt", words=words)
    assert identity == check(tmp_path / "x.txt", words=words)
    assert identity["files"][0]["name"] == str(tmp_path / "x.txt")
    np.save(tmp_path / "y.npy", ROWS)
    save_words(tmp_path / "y.word", words)
    check([tmp_path / "x.txt", tmp_path / "y.npy"], np.concatenate([ROWS, ROWS]), words * 2)


def test_a_file_that_is_cut_off_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, ROWS)
    with open_rows(path) as rows:
        rows.read(0, 3)
        os.truncate(path, 500)
        with pytest.raises(FormatError, match=r"x\.npy ends at byte 500"):
            rows.read(0, N)
    with pytest.raises(FormatError, match="has 500 bytes, but an array"), open_rows(path):
        pass


def test_tensors_are_read_whole_and_in_parts(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    cuts = [0, 20, 100, N]
    parts = {
        f"model.embed.shard_{10 * i}.weight": ROWS[first:last]
        for i, (first, last) in enumerate(pairwise(cuts))
    }
    other = {"other": np.ones((2, 3), np.float32)}
    folder = tmp_path / "model"
    folder.mkdir()
    places = {}
    for i, (name, rows) in enumerate(parts.items()):
        safetensors.save_file({name: rows, **other}, folder / f"m-{i}.safetensors")
        places[name] = f"m-{i}.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    pattern = "model.embed.shard_*.weight"
    check(folder, tensor=pattern)
    check(folder / "model.safetensors.index.json", tensor=pattern)
    safetensors.save_file({**parts, **other}, tmp_path / "one.safetensors")
    check(tmp_path / "one.safetensors", tensor=pattern)
    check(tmp_path / "one.safetensors", [[1.0, 1, 1]] * 2, tensor="other")
    names = [f"model.embed.shard_{i}.weight" for i in (0, 10)]
    first, second = (check(tmp_path / "one.safetensors", parts[name], tensor=name)
                     for name in names)  # fmt: skip
    assert [identity["files"][0]["part"] for identity in (first, second)] == names
    files = []
    for first, last in pairwise(cuts):
        files.append(tmp_path / f"part{first}.safetensors")
        safetensors.save_file({"emb": ROWS[first:last].astype(np.float64), **other}, files[-1])
    check(files, tensor="emb")
    (folder / "vocab.txt").write_text("".join(f"w{i}\n" for i in range(N)))
    check(folder, tensor=pattern, words=[f"w{i}" for i in range(N)])
    (folder / "m-1.safetensors").unlink()
    with pytest.raises(InputError, match=r"m-1\.safetensors does not exist"):
        check(folder, tensor=pattern)
    with pytest.raises(InputError, match="no tensor 'x_\\*'; wanted one of"):
        check(tmp_path / "one.safetensors", tensor="x_*")
    with pytest.raises(InputError, match=r"holds model\.embed.shard_0.weight, .*; name the"):
        check(tmp_path / "one.safetensors")


def test_natural_order_of_parts(tmp_path):
    parts = {f"emb.{n}": np.full((2, 3), n + 1.0, np.float32) for n in (0, 1, 2, 9, 10, 11, 100)}
    write_tensors(tmp_path / "x.safetensors", dict(sorted(parts.items())), {})
    expected = np.repeat([1.0, 2, 3, 10, 11, 12, 101], 2)[:, None] * np.ones(3)
    check(tmp_path / "x.safetensors", expected, tensor="emb.*")


def test_small_floats_are_those_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "x.safetensors"
    kinds = (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16)
    for kind in kinds:
        bits = torch.arange(1 << 8, dtype=torch.uint8)
        numbers = bits.view(kind).float().numpy() if kind in kinds[:2] else ROWS[:128].ravel()
        numbers = numbers[np.isfinite(numbers)][:240].reshape(-1, 2)
        numbers = numbers[np.abs(numbers).max(axis=1) > 0]
        tensor = torch.from_numpy(numbers.copy()).to(kind)
        safetensors.save_file({"e": tensor}, path)
        check(path, tensor.float().numpy())
        with open_table(path) as table:
            assert table.matrix.take(np.arange(len(numbers))).tolist() == tensor.float().tolist()
    safetensors.save_file({"e": tensor, "e_scale_inv": torch.ones(1)}, path)
    with pytest.warns(UserWarning, match="has scales for 'e', in 'e_scale_inv'"):
        check(path, tensor.float().numpy(), tensor="e")


def test_words_of_a_tokenizer_go_by_their_numbers(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 1, "b": 0}}}))
    with (
        pytest.warns(UserWarning, match="2 of 237 rows"),
        open_rows(tmp_path / "x.npy", words=tmp_path / "tokenizer.json") as rows,
    ):
        assert rows.words.read(0, 3) == ["b", "a", None]
    with (
        pytest.raises(InputError, match="none does not exist; wanted a vocabulary"),
        open_rows(tmp_path / "x.npy", words=tmp_path / "none"),
    ):
        pass


def test_outputs_know_the_files_of_shards(tmp_path):
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    assert {*paths, tmp_path / "a.word"} <= set(files_of(paths))
    assert files_of("s3://bucket/a.npy") == []
    assert paths[0] in files_of(f"file://{paths[0]}")
