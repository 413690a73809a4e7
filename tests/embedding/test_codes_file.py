import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncompress import CompressedEmbedding, InputError
from nncompress.embedding import codes_file
from nncompress.embedding.codes import write_codebook, write_codes

WORDS = ["a", "é b", "\r", "\u2028", ""]
CODES = np.array([[0, 2, 1], [2, 2, 2], [1, 0, 0], [0, 0, 0], [2, 1, 0]])


@pytest.fixture
def codebook(random):
    return random.normal(size=(9, 4)).astype(np.float32)


@pytest.fixture
def paths(tmp_path, codebook):
    write_codes(tmp_path / "x.codes", CODES)
    write_codebook(tmp_path / "x.codebook.npy", codebook)
    return tmp_path / "x.codes", tmp_path / "x.codebook.npy"


@pytest.mark.parametrize("with_tokens", [True, False])
def test_what_is_written_as_text_is_read_back(table, tmp_path, with_tokens):
    codes, codebook, words = table
    original = CompressedEmbedding.from_codes(codes, codebook, words)
    write_codes(tmp_path / "x.codes", codes, words if with_tokens else None)
    write_codebook(tmp_path / "x.codebook.npy", codebook)
    read = CompressedEmbedding.from_files(
        tmp_path / "x.codes", str(tmp_path / "x.codebook.npy"), None if with_tokens else words
    )
    assert (read.to_numpy() == original.to_numpy()).all()
    assert list(read) == words
    assert read.provenance["source"] == "x.codes, x.codebook.npy"
    assert read.provenance["made_by"].startswith("chainer-nncompress ")


def naive(text, with_tokens):
    """Reads codes as simply as can be."""
    tokens, codes = [], []
    for line in text.removesuffix(b"\n").split(b"\n"):
        token, _, numbers = line.rpartition(b"\t")
        if (line.count(b"\t") == 1) != with_tokens or line.count(b"\t") > 1:
            raise ValueError(line)
        fields = numbers.decode("ascii").split()
        if not all(field.isdigit() for field in fields):
            raise ValueError(line)
        tokens.append(token.decode("utf-8"))
        codes.append([int(field) for field in fields])
    if not all(len(row) == len(codes[0]) > 0 and max(row) < 3 for row in codes):
        raise ValueError(codes)
    return codes, tokens if with_tokens else None


lines = st.lists(
    st.tuples(
        st.text(st.characters(exclude_characters="\n\t", codec="utf-8"), max_size=3),
        st.lists(st.sampled_from([0, 1, 2]), min_size=2, max_size=2),
    ),
    min_size=1,
    max_size=9,
)
damage = st.lists(
    st.tuples(st.integers(0, 99), st.sampled_from([*b" \t\n\r\x0012359-+\xff\x80\xc2\xa0x"])),
    max_size=3,
)


@settings(max_examples=300, deadline=None)  # files, on a machine that may be busy
@given(lines, st.booleans(), damage, st.sampled_from([1, 7, 4 << 20]))
def test_any_text_is_read_as_a_simple_reader_does_or_refused(
    tmp_path_factory, rows, with_tokens, changes, block_bytes
):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    prefix = (lambda token: f"{token}\t") if with_tokens else (lambda _: "")
    text = "".join(f"{prefix(token)}{' '.join(map(str, row))}\n" for token, row in rows)
    data = bytearray(text.encode())
    for place, byte in changes:
        data[place % len(data) : place % len(data) + place % 2] = bytes([byte])
    (folder / "x.codes").write_bytes(data)
    num_codebooks = len(bytes(data).split(b"\n")[0].rpartition(b"\t")[2].split())
    np.save(folder / "x.npy", np.zeros((3 * max(1, num_codebooks), 2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes_file, "_BLOCK_BYTES", block_bytes)
        try:
            expected = naive(bytes(data), b"\t" in bytes(data).split(b"\n")[0])
        except ValueError:
            with pytest.raises(InputError, match=r"x\.codes"):
                codes_file.read_codes(folder / "x.codes", folder / "x.npy")
        else:
            read = codes_file.read_codes(folder / "x.codes", folder / "x.npy")
            assert (read.codes.tolist(), read.words) == expected


def test_lines_may_end_otherwise_and_codes_have_zeros_before(paths, codebook):
    expected = CompressedEmbedding.from_codes(CODES, codebook).to_numpy()
    for text in (
        "".join(f"{a} {b} {c}\r\n" for a, b, c in CODES),
        "\n".join(f"{a} {b} {c} " for a, b, c in CODES),
        "".join(f" {a}  {b} 000000{c}\n" for a, b, c in CODES),
    ):
        paths[0].write_bytes(text.encode())
        assert (CompressedEmbedding.from_files(*paths).to_numpy() == expected).all()


@pytest.mark.parametrize("num_codewords", [257, 65_536])
def test_large_codes_keep_their_value(tmp_path, random, num_codewords):
    codes = random.integers(num_codewords, size=(50, 1))
    codes[0] = num_codewords - 1
    codebook = random.normal(size=(num_codewords, 1)).astype(np.float32)
    write_codes(tmp_path / "c", codes)
    write_codebook(tmp_path / "b.npy", codebook)
    read = CompressedEmbedding.from_files(tmp_path / "c", tmp_path / "b.npy")
    assert (read.to_numpy() == codebook[codes[:, 0]]).all()


def test_a_codebook_in_float16_stays_so(paths, codebook):
    np.save(paths[1], codebook.astype(np.float16))
    read = CompressedEmbedding.from_files(*paths)
    assert read.table.codebook.dtype == np.float16


def test_words_may_be_more_or_fewer_than_rows(paths, tmp_path):
    (tmp_path / "words").write_bytes("".join(f"{w}\n" for w in [*WORDS, "more", "x"]).encode())
    with pytest.warns(UserWarning, match=r"7 words for the 5 rows of .*x\.codes"):
        read = CompressedEmbedding.from_files(*paths, tmp_path / "words")
    assert list(read) == WORDS
    with pytest.warns(UserWarning, match=r"2 of 5 rows of .*x\.codes have words"):
        read = CompressedEmbedding.from_files(*paths, ["a", None, "c"])
    assert list(read.index_to_key) == ["a", 1, "c", 3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0 1 2\n0 1\n", r"x\.codes, line 2: 2 codes; wanted 3, as on line 1"),
        (b"0 1 2\n0 1 2 0\n", "line 2: 4 codes; wanted 3"),
        (b"0 1 2\n\n", "line 2: 0 codes; wanted 3"),
        (b"0 1 2\n0 1 x\n", "line 2: 'x' is not a code; wanted an integer from 0 to 2"),
        (b"0 1 2\n0 1 1.5\n", "line 2: '1.5' is not a code"),
        (b"0 1 2\n0 -1 1\n", "line 2: '-1' is not a code"),
        (b"0 1 2\n0 3 1\n", "line 2: a code is 3; wanted 0 to 2, as the codebook has 3"),
        (b"0 1 2\n0 1 " + b"9" * 5_000, "line 2: a code is 9999"),
        (b"0 1 2\n\xff 1 2\n", "line 2: .* is not a code"),
        (b"a\t0 1 2\n\xff\t0 1 2\n", "line 2: invalid UTF-8 .*; wanted UTF-8 text"),
        (b"a\t0 1 2\n0 1 2\n", "line 2: 0 tabs; wanted a token, a tab and codes, as on line 1"),
        (b"0 1 2\na\t0 1 2\n", "line 2: 1 tabs; wanted codes without a token"),
        (b"0\t1\t2\n", "line 1: 2 tabs; wanted a token, a tab and codes"),
        (b"0 1 2 2\n", r"x\.codebook\.npy has 9 rows, but .*x\.codes has 4 codes on line 1"),
        (b"0 1 2 2 2 2 2 2 2\n", "with K from 2 to 65,536"),
        (b"", r"x\.codes is empty; wanted a row of codes"),
        (b"\n", "line 1: no codes"),
        (b"a\t\n", "line 1: no codes"),
        (b"\x93NUMPY\x01", r"x\.codes is a \.npy file; wanted the text file of codes first, then"),
    ],
)
def test_mistakes_are_told_by_file_and_line(paths, content, message):
    paths[0].write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        CompressedEmbedding.from_files(*paths)
    assert "\n" not in str(caught.value)


def test_a_line_is_numbered_from_the_files_beginning(paths, monkeypatch):
    monkeypatch.setattr(codes_file, "_BLOCK_BYTES", 64)
    paths[0].write_bytes(b"0 1 2\n" * 999 + b"0 1 7\n" + b"0 1 2\n" * 99)
    with pytest.raises(InputError, match="line 1000: a code is 7"):
        CompressedEmbedding.from_files(*paths)


@pytest.mark.parametrize(
    ("codebook", "message"),
    [
        (np.zeros((3, 3, 4)), r"x\.codebook\.npy has shape \(3, 3, 4\)"),
        (np.zeros((9, 4), int), r"x\.codebook\.npy holds int64"),
        (np.full((9, 4), np.inf), r"x\.codebook\.npy has inf in row 0, column 0"),
        (np.zeros((0, 4)), r"x\.codebook\.npy is empty"),
    ],
)
def test_a_codebook_that_is_none_is_refused(paths, codebook, message):
    np.save(paths[1], codebook)
    with pytest.raises(InputError, match=message):
        CompressedEmbedding.from_files(*paths)


def test_files_that_are_missing_or_have_changed_places_are_told(paths, tmp_path):
    for files, message in [
        ((tmp_path / "no", paths[1]), r"no does not exist; wanted a text file of codes"),
        ((tmp_path, paths[1]), "is a directory; wanted a text file of codes"),
        ((paths[0], tmp_path / "no"), r"no does not exist; wanted a codebook in a \.npy file"),
        ((paths[0], paths[0]), r"x\.codes is not a \.npy file"),
        ((paths[1], paths[0]), r"x\.codebook\.npy is a \.npy file"),
        ((*paths, tmp_path / "no"), "no does not exist; wanted a vocabulary"),
    ]:
        with pytest.raises(InputError, match=message):
            CompressedEmbedding.from_files(*files)


def test_tokens_in_the_file_and_words_beside_it_are_refused(paths):
    write_codes(paths[0], CODES, ["v", "w", "x", "y", "z"])
    with pytest.raises(InputError, match=r"words were given, but .* has a token on each line"):
        CompressedEmbedding.from_files(*paths, WORDS)


def test_a_byte_order_mark_is_no_code_and_no_part_of_a_token(paths, codebook):
    plain = paths[0].read_bytes()
    paths[0].write_bytes(b"\xef\xbb\xbf" + plain)
    read = CompressedEmbedding.from_files(*paths)
    assert (read.to_numpy() == CompressedEmbedding.from_codes(CODES, codebook).to_numpy()).all()
    words = ["\ufeffa", *WORDS[1:]]
    write_codes(paths[0], CODES, words)
    assert list(CompressedEmbedding.from_files(*paths)) == words
    paths[0].write_bytes(plain.decode().encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        CompressedEmbedding.from_files(*paths)


def test_long_lines_and_many_zeros_are_no_tracebacks(paths):
    paths[0].write_bytes(b"0 1 2\n0 1 " + b"0" * 6_000 + b"2\n")
    assert CompressedEmbedding.from_files(*paths).table.num_rows == 2
    paths[0].write_bytes(b"0 1 2\n" * 2 + b"0" * (9 << 20))
    with pytest.raises(InputError, match="line 3: more than 4 MiB without a line break"):
        CompressedEmbedding.from_files(*paths)


def test_codes_that_leave_half_the_codebook_out_are_told(tmp_path, random):
    write_codes(tmp_path / "x.codes", random.integers(0, 16, size=(300, 8)))
    write_codebook(tmp_path / "x.npy", random.normal(size=(256, 3)))
    with pytest.warns(UserWarning, match="M=8 and K=32, but no code is above 15; .* truncated"):
        CompressedEmbedding.from_files(tmp_path / "x.codes", tmp_path / "x.npy")


def test_no_word_at_all_is_refused(paths, tmp_path):
    (tmp_path / "words").write_bytes(b"")
    for words in ([], tmp_path / "words"):
        with pytest.raises(InputError, match="words are empty for the 5 rows"):
            CompressedEmbedding.from_files(*paths, words)
