import errno
import gzip
import json
import lzma
import struct
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from nncompress import FormatError, InputError
from nncompress.errors import OutputError
from nncompress.formats.safetensors import write_tensors
from nncompress.formats.work import WorkDirectory
from nncompress.sources import conversion
from nncompress.sources.tables import open_table

WORDS = ["the", "\u00a0é", "", "1", "a" * 300, "\u2028"]
ROWS = np.arange(18, dtype=np.float32).reshape(6, 3) / 7


def read(source, **options):
    with open_table(source, **options) as table:
        rows = table.matrix.take(np.arange(len(table.matrix)))
        return rows, table.words


def check(source, rows=ROWS, words=WORDS, **options):
    read_rows, read_words = read(source, **options)
    assert read_rows.tolist() == rows.tolist()
    assert read_words == words


def as_text(header=False):
    lines = [
        f"{word} {' '.join(map(repr, row))}"
        for word, row in zip(WORDS, ROWS.tolist(), strict=True)
    ]
    return "\n".join([*(["6 3"] if header else []), *lines, ""]).encode()


def as_binary(ends=b"\n"):
    records = [
        word.encode() + b" " + struct.pack("<3f", *row) + ends
        for word, row in zip(WORDS, ROWS, strict=True)
    ]
    return b"6 3\n" + b"".join(records)


@pytest.mark.parametrize("header", [False, True])
def test_text_is_read_however_it_is_compressed(tmp_path, header):
    text = as_text(header)
    (tmp_path / "v.txt").write_bytes(text)
    (tmp_path / "v.vec.gz").write_bytes(gzip.compress(text))
    (tmp_path / "v.xz").write_bytes(lzma.compress(text))
    with zipfile.ZipFile(tmp_path / "v.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/v.txt", text)
    for name in ("v.txt", "v.vec.gz", "v.xz", "v.zip", "v.zip/folder/v.txt"):
        check(tmp_path / name)


@pytest.mark.parametrize("ends", [b"\n", b""])
def test_word2vec_binary_is_read_however_it_is_compressed(tmp_path, ends):
    (tmp_path / "v.bin").write_bytes(as_binary(ends))
    (tmp_path / "v.bin.gz").write_bytes(gzip.compress(as_binary(ends)))
    for name in ("v.bin", "v.bin.gz"):
        check(tmp_path / name)


def test_gensim_writes_what_is_read(tmp_path, random):
    models = pytest.importorskip("gensim.models")
    vectors = models.KeyedVectors(5)
    words = [f"w{i}" for i in range(3_000)]
    vectors.add_vectors(words, random.normal(size=(3_000, 5)).astype(np.float32))
    vectors.save_word2vec_format(tmp_path / "x.bin", binary=True)
    vectors.save_word2vec_format(tmp_path / "x.txt")
    check(tmp_path / "x.bin", vectors.vectors, words)
    check(tmp_path / "x.txt", vectors.vectors, words)
    check(vectors, vectors.vectors, words)


def test_npy_is_read_with_the_words_beside_it(tmp_path):
    np.save(tmp_path / "v.npy", ROWS.astype(">f8"))
    check(tmp_path / "v.npy", words=None)
    (tmp_path / "other.txt").write_text("\n".join("abcd"))
    with pytest.warns(UserWarning, match=r"4 of 6 rows of .*v\.npy have words; rows"):
        rows, words = read(tmp_path / "v.npy", words=tmp_path / "other.txt")
    assert words == list("abcd")
    assert read(tmp_path / "v.npy", words=tmp_path / "other.txt", limit=4)[1] == list("abcd")
    (tmp_path / "v.word").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    check(tmp_path / "v.npy")
    rows, words = read(str(tmp_path / "v.npy"), limit=2)
    assert rows.tolist() == ROWS[:2].tolist()
    assert words == WORDS[:2]


def test_arrays_and_their_like_are_taken():
    check(ROWS, words=None)
    some = ["a", None, "c", "d", None, None]
    _, words = read(ROWS, words=some)
    assert words == some
    check(SimpleNamespace(vectors=ROWS, index_to_key=WORDS))
    unit, _ = read(ROWS, unit_rows=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


TOKENS = {"[PAD]": 0, "the": 1, "##s": 2, "Ġking": 3}


def save_model(folder, name="embeddings.word_embeddings.weight", rows=ROWS):
    others = {
        "embeddings.position_embeddings.weight": np.ones((2, 3), np.float32),
        "layer.weight": np.ones((3, 3), np.float32),
        "bias": np.ones(3, np.float32),
    }
    write_tensors(folder / "model.safetensors", {name: rows, **others}, {})


def save_tokenizer(folder, model):
    content = {"added_tokens": [{"id": 4, "content": "<added>"}], "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(content))


@pytest.mark.filterwarnings("ignore:.* rows of .* have words")
def test_a_hugging_face_folder_is_read_with_its_tokens(tmp_path):
    save_model(tmp_path)
    check(tmp_path, words=None)
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    check(tmp_path, words=["a", "b"])
    save_tokenizer(tmp_path, {"type": "WordPiece", "vocab": TOKENS})
    # Rows past the last token are kept: the table is padded.
    check(tmp_path, words=[*TOKENS, "<added>"])
    check(tmp_path / "model.safetensors", words=[*TOKENS, "<added>"])
    unigram = [[token, -1.0] for token in TOKENS]
    save_tokenizer(tmp_path, {"type": "Unigram", "vocab": unigram})
    check(tmp_path, words=[*TOKENS, "<added>"])
    save_tokenizer(tmp_path, {"type": "BPE", "vocab": {"x": 2, "y": 0}})
    check(tmp_path, words=["y", None, "x", None, "<added>"])
    rows, words = read(tmp_path, tensor="layer.weight", words=["p", "q"])
    assert rows.tolist() == np.ones((3, 3)).tolist()
    assert words == ["p", "q"]


def test_a_model2vec_folder_is_read(tmp_path):
    write_tensors(tmp_path / "model.safetensors", {"embeddings": ROWS.astype(np.float16)}, {})
    save_tokenizer(tmp_path, {"type": "WordPiece", "vocab": TOKENS})
    with pytest.warns(UserWarning, match=r"5 of 6 rows of .* have words"):
        check(tmp_path, ROWS.astype(np.float16).astype(np.float32), [*TOKENS, "<added>"])


@pytest.mark.parametrize("as_file", [True, False])
def test_no_word_at_all_is_refused(tmp_path, as_file):
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="no words for the 6 rows of"):
        read(ROWS, words=tmp_path / "empty" if as_file else [])


def bfloat16(rows):
    return (rows.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "transformer.wte.weight"])
def test_shards_and_bfloat16_are_read(tmp_path, name):
    data = bfloat16(ROWS).tobytes()
    header = json.dumps(
        {name: {"dtype": "BF16", "shape": [6, 3], "data_offsets": [0, len(data)]}}
    ).encode()
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(struct.pack("<Q", len(header)) + header + data)
    write_tensors(tmp_path / "model-00001-of-00002.safetensors", {"other.weight": ROWS}, {})
    index = tmp_path / "model.safetensors.index.json"
    places = {"other.weight": "model-00001-of-00002.safetensors", name: shard.name}
    index.write_text(json.dumps({"weight_map": places}))
    expected = (bfloat16(ROWS).astype(np.uint32) << 16).view(np.float32)
    for path in (tmp_path, index, shard):
        check(path, expected, None)
    with pytest.raises(InputError, match=r"no tensor 'x'; wanted one of other\.weight"):
        read(tmp_path, tensor="x")
    for place in ("../" + shard.name, "x" * 300):
        index.write_text(json.dumps({"weight_map": {name: place}}))
        with pytest.raises(FormatError, match="outside its folder; wanted a file beside it"):
            read(index)
    index.write_text("{}")
    with pytest.raises(FormatError, match="has no weight_map"):
        read(index)


def test_bfloat16_that_is_not_finite_is_refused(tmp_path):
    data = bfloat16(np.where(ROWS[4, 1] == ROWS, np.nan, ROWS)).tobytes()
    header = json.dumps(
        {"e": {"dtype": "BF16", "shape": [6, 3], "data_offsets": [0, len(data)]}}
    ).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    with pytest.raises(InputError, match="nan in row 4, column 1"):
        read(path)


def test_safetensors_from_pytorch_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    rows = torch.randn(6, 3)
    for kind in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        safetensors.save_file({"embedding.weight": rows.to(kind)}, tmp_path / "x.safetensors")
        check(tmp_path / "x.safetensors", rows.to(kind).float().numpy(), None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", None, "does not exist"),
        ("x.kv", b"\x80\x04\x95", "is a Python pickle"),
        ("model.bin", struct.pack("<ii", 793712314, 12), "wanted a complete fastText model"),
        ("x.pt", b"PK\x03\x04", "is a PyTorch checkpoint"),
        ("x.data", b"PK\x03\x04", "is a zip archive"),
        ("x.dat", b"\x93NUMPY\x01", r"give it a name that ends in \.npy"),
        ("x.dat", gzip.compress(b"a 1", mtime=0), r"ends in \.gz"),
        ("x.dat", lzma.compress(b"a 1"), r"ends in \.xz"),
        ("x.nnc", b"\x10" + bytes(50), "is already a compressed embedding"),
        ("x.gz", b"no gzip", "cannot be decompressed"),
        ("x.xz", b"no xz", "cannot be decompressed"),
        ("x.zip", b"no zip", "cannot be decompressed"),
        ("x.txt.gz", gzip.compress(as_text(), mtime=0)[:-30], "cannot be decompressed"),
        ("x.txt.xz", lzma.compress(as_text() * 99)[:-30], "cannot be decompressed"),
        ("x.bin", as_binary()[:-9], r"ends, or has no token, in row 6 of 6"),
        ("x.bin", b"9" + as_binary(), r"ends, or has no token, in row 7 of 96"),
        ("x.bin", b"2 1\n\xff\xfe \0\0\0\0a \0\0\0\0", r"row 1: .* is not valid UTF-8"),
        ("x.bin", b"2 1\na\tb \0\0\0\0a \0\0\0\0", "holds a tab or a line break"),
        ("x.bin", b"2 1\n\0" + b"x" * 70_000, "has no token, in row 1"),
        ("x.bin", b"1 1\na " + struct.pack("<f", np.inf), "inf in row 0, column 0"),
        ("x.npy", b"no npy", r"is not a \.npy file"),
        ("x.safetensors", b"short", "has only 5 bytes"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_a_zip_of_several_files_asks_which(tmp_path):
    path = tmp_path / "v.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", as_text())
        archive.writestr("b.txt", b"x 1 2\n")
    with pytest.raises(InputError, match=r"holds a\.txt, b\.txt; name one of them"):
        read(path)
    check(path / "b.txt", np.array([[1.0, 2.0]]), ["x"])
    with pytest.raises(InputError, match="name one of them"):
        read(path / "c.txt")


def test_words_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="has 6 rows for 7 words"):
        read(ROWS, words=["w"] * 7)
    np.save(tmp_path / "v.npy", ROWS)
    with pytest.raises(InputError, match="has no named tensors"):
        read(tmp_path / "v.npy", tensor="x")
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": "1"}}}')
    with pytest.raises(InputError, match="not a tokenizer of a known kind"):
        read(ROWS, words=tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 2000000000}}}')
    with pytest.raises(InputError, match="not a tokenizer of a known kind"):
        read(ROWS, words=tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(FormatError, match="is not JSON"):
        read(ROWS, words=tmp_path / "tokenizer.json")


def test_a_folder_or_file_without_an_embedding_asks_for_its_name(tmp_path):
    with pytest.raises(InputError, match="holds 0 safetensors files"):
        read(tmp_path)
    write_tensors(tmp_path / "a.safetensors", {"p": ROWS, "q": ROWS}, {})
    with pytest.raises(InputError, match="holds p, q; name the embedding"):
        read(tmp_path)
    write_tensors(tmp_path / "a.safetensors", {"p": ROWS[0]}, {})
    with pytest.raises(InputError, match="no matrix of floating-point numbers"):
        read(tmp_path)
    write_tensors(tmp_path / "b.safetensors", {"p": ROWS[0]}, {})
    with pytest.raises(InputError, match="holds 2 safetensors files"):
        read(tmp_path)


def test_other_types_beside_the_embedding_do_no_harm(tmp_path):
    data = ROWS.tobytes()
    header = json.dumps({
        "embedding.weight": {"dtype": "F32", "shape": [6, 3], "data_offsets": [0, 72]},
        "lin.weight": {"dtype": "F8_E8M0", "shape": [2, 4], "data_offsets": [72, 80]},
    }).encode()  # fmt: skip
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data + bytes(8))
    check(path, words=None)
    with pytest.raises(InputError, match=r"'lin\.weight' has the type F8_E8M0; wanted one of F16"):
        read(path, tensor="lin.weight")


def test_numbers_that_promise_too_much_are_no_header(tmp_path):
    for first, row in ((b"5", 99_999_999_999.0), (b"1" * 5_000, 5.0)):
        (tmp_path / "x.txt").write_bytes(first + b" %d\n" % row)
        check(tmp_path / "x.txt", np.array([[row]], np.float32), [first.decode()])


def test_what_a_message_names_is_the_users_file(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"1 1\na " + struct.pack("<f", np.nan))
    with pytest.raises(InputError, match=r"x\.bin has nan in row 0"):
        read(tmp_path / "x.bin")


def test_a_matrix_object_keeps_its_own_settings():
    from nncompress.sources import EmbeddingMatrix

    matrix = EmbeddingMatrix(ROWS, limit=4)
    assert read(matrix)[0].shape == (4, 3)
    for options in ({"limit": 2}, {"unit_rows": True}):
        with pytest.raises(InputError, match="an EmbeddingMatrix, which has its own"):
            read(matrix, **options)


@pytest.mark.parametrize("bad", [5, ["a"], "\ud800", b"x"])
def test_words_that_are_no_text_are_refused_at_once(bad):
    with pytest.raises(InputError, match="row 1 has the word"):
        read(ROWS, words=["a", bad])


def test_a_full_disk_names_the_converted_matrix(tmp_path, monkeypatch):
    (tmp_path / "v.txt").write_bytes(as_text())

    def full(path, rows, write_words):
        next(rows)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversion, "write_npy", full)
    with pytest.raises(
        OutputError,
        match=r"matrix\.npy cannot be written: No space .* files \(TMPDIR\) or for work",
    ):
        read(tmp_path / "v.txt")
    with (
        WorkDirectory.open(tmp_path / "w") as work,
        pytest.raises(OutputError, match=r"w/matrix\.state cannot be written: No space left on"),
    ):
        read(tmp_path / "v.txt", work=work)


def test_the_room_for_a_matrix_is_told_from_a_files_size(tmp_path, random):
    rows = random.normal(size=(3_000, 20)).astype(np.float32)
    path = tmp_path / "v.txt"
    lines = [f"w{i} {' '.join(map(str, row))}" for i, row in enumerate(rows.tolist())]
    for header in ([], ["3000 20"]):
        path.write_text("\n".join([*header, *lines, ""]))
        assert conversion.converted_bytes(path) == pytest.approx(rows.nbytes, rel=0.02)
    path.write_bytes(as_binary())
    assert conversion.converted_bytes(path) >= ROWS.nbytes
    path.write_bytes(b"")
    assert conversion.converted_bytes(path) == 0
