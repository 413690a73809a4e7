import gzip

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.sources import read_vocabulary
from nncompress.sources.text_vectors import convert_text

ROWS = [
    ("the", [0.5, -1.25, 3e-3]),
    (". . .", [1, 2, 3]),
    ("\u00a0é", [-4.5, 0, 7]),
    ("1", [9, 8, 7]),
]


def as_text(rows, header=None):
    lines = [f"{token} {' '.join(map(str, numbers))}" for token, numbers in rows]
    return "\n".join([*([header] if header else []), *lines, ""])


def check(path, rows=ROWS):
    matrix_path, word_path, shape = convert_text(path)
    matrix = np.load(matrix_path)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert shape == matrix.shape
    assert matrix.tolist() == np.array([row for _, row in rows], np.float32).tolist()
    assert read_vocabulary(word_path) == [token for token, _ in rows]
    return matrix_path, word_path


def test_glove_text_with_spaces_in_tokens(tmp_path):
    path = tmp_path / "glove.840B.3d.txt"
    path.write_text(as_text(ROWS), encoding="utf-8")
    matrix_path, word_path = check(path)
    assert (matrix_path.name, word_path.name) == ("glove.840B.3d.npy", "glove.840B.3d.word")


def test_word2vec_text_with_a_header_and_trailing_spaces(tmp_path):
    path = tmp_path / "w2v.vec"
    path.write_text(as_text(ROWS, "4 3").replace("\n", " \n"), encoding="utf-8")
    check(path)


def test_windows_line_ends(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(as_text(ROWS).replace("\n", "\r\n").encode())
    check(path)


def test_a_byte_order_mark_is_no_part_of_the_first_token(tmp_path):
    path = tmp_path / "v.txt"
    for header in (None, "4 3"):
        path.write_bytes(as_text(ROWS, header).encode("utf-8-sig"))
        check(path)
    rows = [("\ufeffa\r", [1]), ("b\r", [2])]
    path = tmp_path / "w.txt"
    path.write_bytes(as_text(rows).encode("utf-8-sig"))
    check(path, rows)  # and the .word file gives back what it was made of


def test_gzip_text_loses_both_extensions(tmp_path):
    path = tmp_path / "v.3d.txt.gz"
    path.write_bytes(gzip.compress(as_text(ROWS).encode()))
    matrix_path, _ = check(path)
    assert matrix_path == tmp_path / "v.3d.npy"


def test_more_rows_than_a_block_holds(tmp_path, monkeypatch, random):
    from nncompress.sources import text_vectors

    numbers = random.normal(size=(50, 3)).round(3)
    rows = [(f"w{i}", row.tolist()) for i, row in enumerate(numbers)]
    path = tmp_path / "v.txt"
    path.write_text(as_text(rows))
    monkeypatch.setattr(text_vectors, "BLOCK_BYTES", 7 * 12)
    check(path, rows)


def test_glove_whose_first_token_and_number_look_like_a_header(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("12 5\nb 0.5\n")
    check(path, [("12", [5]), ("b", [0.5])])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("word\nother\n", "no number in a line"),
        ("a 1 2\nb 1\nc 1 2\n", "line 2: 1 numbers; wanted a token and 2 numbers"),
        ("a 1 2\nb 1 2\nc 1 x\n", "line 3: 'x' is not a number"),
        ("a 1 2\nb 1 nan\n", "line 2: a number is not finite"),
        ("a 1 2\nb 1 1e39\n", "line 2: a number is not finite"),
        ("a 1 2\nb\tc 1 2\n", "line 2: the token .* holds a tab"),
        ("5 2\na 1 2\nb 1 2\n", "promises 5 rows, but 2 follow"),
        ("1 2\n", "promises 1 rows, but 0 follow"),
    ],
)
def test_bad_text_is_refused_and_nothing_is_written(tmp_path, text, message):
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        convert_text(path)
    assert list(tmp_path.iterdir()) == [path]


def test_bad_bytes_are_refused(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1 2\n\xff 1 2\n")
    with pytest.raises(InputError, match="line 2: the token is not valid UTF-8"):
        convert_text(path)
    path = tmp_path / "v.txt.gz"
    path.write_bytes(gzip.compress(b"a 1 2\n" * 5000)[:-20])
    with pytest.raises(InputError, match="cannot be decompressed"):
        convert_text(path)
    path.write_bytes(b"not gzip")
    with pytest.raises(InputError, match="cannot be decompressed"):
        convert_text(path)


def test_lines_and_tokens_are_bounded(tmp_path):
    path = tmp_path / "v.txt.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(b"1 " * (1 << 20))
    with pytest.raises(InputError, match="line 1: more than 4 MiB without a line break"):
        convert_text(path)
    path = tmp_path / "w.txt"
    path.write_bytes(b"a 1 2\n" + b"b" * 16_385 + b" 1 2\n")
    with pytest.raises(InputError, match="line 2: a token of 16385 bytes before 2 numbers"):
        convert_text(path)


def test_the_input_is_never_overwritten(tmp_path):
    path = tmp_path / "v.word"
    path.write_text("a 1 2\n")
    with pytest.raises(InputError, match="would be overwritten"):
        convert_text(path)
    assert path.read_text() == "a 1 2\n"
