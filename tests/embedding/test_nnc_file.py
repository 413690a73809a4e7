import contextlib
import hashlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress import CompressedEmbedding, FormatError, InputError


@pytest.fixture(scope="module")
def file_bytes(tmp_path_factory):
    random = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("nnc") / "x.nnc"
    make(random, 3, 11, np.float32).save(path)
    return path.read_bytes()


def make(random, m, k, dtype, rows=60, words=50):
    codes = random.integers(k, size=(rows, m))
    codebook = random.normal(size=(m * k, 7)).astype(dtype)
    names = [f"w{i * 37 % 101}é" for i in range(words)]
    return CompressedEmbedding.from_codes(
        codes, codebook, names if words else None, provenance={"recipe": "fast", "loss": 1.5}
    )


@pytest.mark.parametrize(
    ("m", "k"), [(1, 2), (3, 11), (32, 16), (2, 256), (3, 257), (70, 3), (1, 65_536)]
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("words", [0, 50])
def test_a_saved_table_is_read_back(random, tmp_path, m, k, dtype, words):
    embedding = make(random, m, k, dtype, words=words)
    embedding.save(tmp_path / "x.nnc")
    again = CompressedEmbedding.load(tmp_path / "x.nnc", verify=True)
    assert (again.to_numpy() == embedding.to_numpy()).all()
    assert again.table.codebook.dtype == dtype
    assert list(again) == list(embedding)
    assert list(again.index_to_key) == list(embedding.index_to_key)
    assert again.provenance == {"recipe": "fast", "loss": 1.5}
    assert again.has_words == bool(words)
    if words:
        assert again.most_similar("w37é") == embedding.most_similar("w37é")
    again.save(tmp_path / "y.nnc")
    assert (tmp_path / "y.nnc").read_bytes() == (tmp_path / "x.nnc").read_bytes()


def sections_of(data):
    """Reads a file by docs/file-format.md, with nothing of this project."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    return metadata, {
        name: (entry, data[8 + length :][slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }


def test_the_bytes_are_as_documented(file_bytes, tmp_path):
    metadata, sections = sections_of(file_bytes)
    assert (8 + int.from_bytes(file_bytes[:8], "little")) % 64 == 0
    assert metadata["format"] == "nncompress"
    assert metadata["format_version"] == "1"
    sizes = [int(metadata[f"num_{name}"]) for name in ("codebooks", "codewords", "words")]
    assert sizes == [3, 11, 50]
    sums = json.loads(metadata["sha256"])
    for name, (_, data) in sections.items():
        assert sums[name] == hashlib.sha256(data).hexdigest()
    entry, codes = sections["codes"]
    assert entry["shape"] == [60, 2]
    entry, codebook = sections["codebook"]
    assert entry["dtype"] == "F32"
    codebook = np.frombuffer(codebook, "<f4").reshape(3, 11, 7)
    number = int.from_bytes(codes[2 * 8 : 2 * 8 + 2], "little")
    vector = sum(codebook[m, number >> 4 * m & 15] for m in range(3))
    words = words_of(sections)
    assert sorted(words) == [
        word.encode() for word in sorted(f"w{i * 37 % 101}é" for i in range(50))
    ]
    rows = rows_of(sections, 60, 50)
    assert words[rows.index(8)] == f"w{8 * 37 % 101}é".encode()
    (tmp_path / "x.nnc").write_bytes(file_bytes)
    embedding = CompressedEmbedding.load(tmp_path / "x.nnc")
    np.testing.assert_allclose(embedding[f"w{8 * 37 % 101}é"], vector, atol=1e-6)


def words_of(sections):
    symbols, place = [], 0
    table = sections["vocabulary.symbols"][1]
    while place < len(table):
        symbols.append(table[place + 1 : place + 1 + table[place]])
        place += 1 + table[place]
    offsets = np.frombuffer(sections["vocabulary.offsets"][1], "<u4")
    words = []
    for begin, end in itertools.pairwise(offsets):
        block = sections["vocabulary.blocks"][1][begin:end]
        words.append(block[1 : 1 + block[0]])  # no first word here has 128 bytes
        plain, codes = b"", list(block[1 + block[0] :])
        while codes:
            code = codes.pop(0)
            plain += bytes([codes.pop(0)]) if code == 255 else symbols[code]
        for byte in plain:
            if byte < 32:
                words.append(words[-1][:byte])
            else:
                words[-1] += bytes([byte])
    return words


def rows_of(sections, num_rows, num_words):
    bits = (num_rows - 1).bit_length()
    stream = int.from_bytes(sections["vocabulary.rows"][1], "little")
    return [stream >> i * bits & (1 << bits) - 1 for i in range(num_words)]


def test_safetensors_reads_it(file_bytes, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "x.nnc"
    path.write_bytes(file_bytes)
    theirs = numpy.load_file(path)
    ours = CompressedEmbedding.load(path)
    assert (theirs["codes"] == ours.table.packed).all()
    assert (theirs["codebook"] == ours.table.codebook).all()


def use(path):
    """Opens a file and uses all of it; what it may raise is a FormatError."""
    with contextlib.suppress(FormatError):
        embedding = CompressedEmbedding.load(path)
        embedding.to_numpy()
        embedding.most_similar(0, topn=5)
        "w37é" in embedding  # noqa: B015
        list(embedding.index_to_key)


@settings(max_examples=300)
@given(st.data())
def test_altered_and_cut_files_do_no_harm(file_bytes, tmp_path_factory, data):
    altered = bytearray(file_bytes)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(altered) - 1) | st.integers(0, 700))
        altered[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        altered = altered[: data.draw(st.integers(0, len(altered)))]
    path = tmp_path_factory.mktemp("altered") / "x.nnc"
    path.write_bytes(altered)
    with np.errstate(all="ignore"):
        use(path)


def test_altered_sections_are_noticed_when_they_are_verified(file_bytes, tmp_path):
    path = tmp_path / "x.nnc"
    for name, (entry, _) in sections_of(file_bytes)[1].items():
        altered = bytearray(file_bytes)
        first = 8 + int.from_bytes(file_bytes[:8], "little")
        altered[first + entry["data_offsets"][0]] ^= 1
        path.write_bytes(altered)
        CompressedEmbedding.load(path)
        with pytest.raises(FormatError, match=f"section '{name}' has been altered"):
            CompressedEmbedding.load(path, verify=True)


def with_header(file_bytes, change):
    length = int.from_bytes(file_bytes[:8], "little")
    header = json.loads(file_bytes[8 : 8 + length])
    header = change(header) or header
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text + file_bytes[8 + length :]


def metadata(**values):
    return lambda header: header["__metadata__"].update(values)


def entry(name, **values):
    return lambda header: header[name].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (metadata(format="pt"), "is a safetensors file of another kind"),
        (
            metadata(format_version="4"),
            "format version 4, but this release reads versions 1, 2 and 3",
        ),
        (metadata(format_version="x"), "format_version is 'x'; wanted a number"),
        (metadata(num_codebooks="0"), "num_codebooks is 0; wanted 1"),
        (metadata(num_codebooks="4"), "codes of shape .* wanted 2 columns and 44 rows for M=4"),
        (metadata(num_codewords="70000"), "num_codewords is 70000; wanted 2 to 65536"),
        (metadata(num_words="61"), "num_words is 61; wanted 0 to 60"),
        (metadata(num_words="9" * 5_000), "num_words is '999"),
        (metadata(num_words="17"), "offsets have 5 entries; wanted 3 for 17 words"),
        (metadata(provenance="[1]"), "provenance is not a JSON object"),
        (metadata(provenance="[" * 100_000), "provenance is not a JSON object"),
        (lambda header: header.pop("codes") and None, "leave a gap"),
        (lambda header: header.update(other=header.pop("codes")), "there is no section 'codes'"),
        (entry("codes", dtype="I8"), "section 'codes' has type int8"),
        (entry("codes", dtype="Q4"), "there is no section 'codes'"),
        (entry("codes", dtype=4), "tensor 'codes' has the unknown type 4"),
        (entry("codes", shape=[0, 1 << 62, 1 << 62]), "claims bytes"),
        (entry("codes", shape=[120]), r"section 'codes' has type uint8 and shape \(120,\)"),
        (entry("codes", shape=[1 << 62, 1 << 62]), "claims bytes"),
        (entry("codes", shape=[60, -2]), "a shape or place that is not a list of sizes"),
        (entry("codes", shape=[60, 2.0]), "a shape or place that is not a list of sizes"),
        (entry("codes", data_offsets=[0, 120]), "overlap or leave a gap"),
        (entry("codes", data_offsets=[0]), "the wrong length"),
        (lambda header: header.update(codes=[]), "tensor 'codes' has no description"),
        (lambda header: header.update(__metadata__={"a": 1}), "metadata are not strings"),
    ],
)
def test_wrong_headers_are_told_in_a_sentence(file_bytes, tmp_path, change, message):
    path = tmp_path / "x.nnc"
    path.write_bytes(with_header(file_bytes, change))
    with pytest.raises(FormatError, match=message) as caught:
        CompressedEmbedding.load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"1234567", "has only 7 bytes"),
        (b"the 0.1 0.2\n" * 9, "does not begin with the length"),
        ((1 << 40).to_bytes(8, "little") + b"{}" * 50, "does not begin with the length"),
        ((100).to_bytes(8, "little") + b"[" * 100, "does not begin with the length"),
        ((100).to_bytes(8, "little") + b"{" * 100, "a header that is not JSON"),
        ((3).to_bytes(8, "little") + b"{\xff}", "a header that is not JSON"),
        (
            (200_000).to_bytes(8, "little") + b'{"a":' + b"[" * 199_995,
            "a header that is not JSON",
        ),
        ((2).to_bytes(8, "little") + b"{}", "is a safetensors file of another kind"),
    ],
)
def test_foreign_files_are_told_in_a_sentence(tmp_path, content, message):
    path = tmp_path / "x.nnc"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        CompressedEmbedding.load(path)


def test_missing_files_and_directories_are_told(tmp_path):
    with pytest.raises(InputError, match="does not exist; wanted a compressed embedding"):
        CompressedEmbedding.load(tmp_path / "none.nnc")
    with pytest.raises(InputError, match="is a directory"):
        CompressedEmbedding.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(embedding, tmp_path):
    path = tmp_path / "x.nnc"
    path.write_text("old")
    embedding.provenance["bad"] = object()
    with pytest.raises(InputError, match="cannot be written as JSON"):
        embedding.save(path)
    embedding.provenance["bad"] = "x" * (9 << 20)
    with pytest.raises(InputError, match="header would have"):
        embedding.save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_copy_outlives_whatever_happens_to_the_file(random, tmp_path):
    path = tmp_path / "x.nnc"
    embedding = make(random, 3, 11, np.float32)
    embedding.save(path)
    copied = CompressedEmbedding.load(path, copy=True, verify=True)
    path.write_bytes(b"")  # a mapped file's reader is killed by the system at its next look
    assert (copied.to_numpy() == embedding.to_numpy()).all()
    assert copied.most_similar("w37é") == embedding.most_similar("w37é")


@pytest.mark.parametrize("copy", [False, True])
def test_a_file_may_be_replaced_while_it_is_read(random, tmp_path, copy):
    path = tmp_path / "x.nnc"
    embedding = make(random, 3, 11, np.float32)
    embedding.save(path)
    opened = CompressedEmbedding.load(path, copy=copy)
    make(random, 5, 4, np.float16).save(path)
    assert (opened.to_numpy() == embedding.to_numpy()).all()
    opened.save(path)
    assert (CompressedEmbedding.load(path).to_numpy() == embedding.to_numpy()).all()


def test_a_provenance_that_is_no_json_is_refused_and_one_that_is_there_is_read(table, tmp_path):
    path = tmp_path / "x.nnc"
    embedding = CompressedEmbedding.from_codes(*table, provenance={"loss": float("nan")})
    with pytest.raises(InputError, match="the provenance cannot be written as JSON"):
        embedding.save(path)
    assert not path.exists()
    embedding.provenance["loss"] = 12345.25
    embedding.save(path)
    path.write_bytes(path.read_bytes().replace(b"12345.25", b"Infinity"))
    assert CompressedEmbedding.load(path).provenance["loss"] is None


@pytest.mark.parametrize("name", ["x.codes", "x.codebook.npy"])
def test_codes_in_text_are_named(tmp_path, name):
    with pytest.raises(FormatError, match="make one of both, with: nncompress import"):
        CompressedEmbedding.load(tmp_path / name)


def test_a_table_in_text_is_told_to_be_compressed_first(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("king 0.1 0.2\n")
    message = r"mine\.txt is not a compressed table \(\.nnc\); compress it first: nncompress\.comp"
    with pytest.raises(FormatError, match=message):
        CompressedEmbedding.load(path)
