import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nncompress.errors import InputError
from nncompress.sources import read_vocabulary, write_vocabulary
from nncompress.sources.lines import MOST_LINE_BYTES
from nncompress.sources.vocabulary import MOST_WORD_BYTES, check_words


def test_lines_end_at_newlines_alone_and_tokens_are_not_stripped(tmp_path):
    path = tmp_path / "v.word"
    path.write_bytes(" a \n\u00a0\nb\u2028c\nd\r\n\n\x85\x0b\ne".encode())
    assert read_vocabulary(path) == [" a ", "\u00a0", "b\u2028c", "d\r", "", "\x85\x0b", "e"]


def test_an_empty_file_is_an_empty_vocabulary(tmp_path):
    (tmp_path / "v").write_bytes(b"")
    assert read_vocabulary(tmp_path / "v") == []


def test_bad_lines_are_named(tmp_path):
    path = tmp_path / "v.word"
    path.write_bytes(b"good\nb\xffd\n")
    with pytest.raises(InputError, match="line 2: invalid UTF-8"):
        read_vocabulary(path)
    path.write_bytes(b"good\nfine\na\tb\n")
    with pytest.raises(InputError, match=r"line 3: the token .* holds a tab"):
        read_vocabulary(path)
    with pytest.raises(InputError, match="does not exist"):
        read_vocabulary(tmp_path / "none")


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_words(tmp_path):
    path = tmp_path / "v.word"
    path.write_bytes("\ufeffthe\n\ufeffof\n".encode())
    assert read_vocabulary(path) == ["the", "\ufeffof"]
    for text in ("\ufeffthe\r\n\r\nof\r\n", "the\r\n\r\nof"):
        path.write_bytes(text.encode())
        with pytest.warns(UserWarning, match=r"every line of .*v\.word ends in a carriage return"):
            assert read_vocabulary(path) == ["the", "", "of"]
    path.write_bytes(b"the\r\nof\n")
    assert read_vocabulary(path) == ["the\r", "of"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_utf_16_is_named(tmp_path, encoding):
    path = tmp_path / "v.word"
    path.write_bytes(
        "\ufeffthe\n".encode(encoding) if "be" in encoding else "the".encode(encoding)
    )
    with pytest.raises(InputError, match="is UTF-16 text; wanted UTF-8"):
        read_vocabulary(path)


def test_what_is_no_list_of_words_is_named(tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        read_vocabulary(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(InputError, match="is not a regular file"):
            read_vocabulary(path)
    (tmp_path / "v.word").write_bytes(b"a\n" + bytes(MOST_LINE_BYTES + 1))
    with pytest.raises(InputError, match="line 2: more than 4 MiB without a line break"):
        read_vocabulary(tmp_path / "v.word")


def test_words_are_bounded():
    check_words(["é" * (MOST_WORD_BYTES // 2), None])
    with pytest.raises(InputError, match="row 1 has a word of 16386 bytes, 'ééé"):
        check_words(["a", "é" * (MOST_WORD_BYTES // 2 + 1)])


@given(st.lists(st.text(st.characters(exclude_characters="\n\t", exclude_categories=["Cs"]))))
@example(["\ufeff\ufeffa", "b"])
@example(["a\r", "\r"])
@example(["\r"])
@example([""])
@example(["\ufeff\r"])
def test_what_is_written_is_read_back(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("vocabulary") / "v.word"
    write_vocabulary(path, tokens)
    assert read_vocabulary(path) == tokens
