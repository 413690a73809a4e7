import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.errors import InputError
from nncompress.sources import read_vocabulary, write_vocabulary


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


@given(st.lists(st.text(st.characters(exclude_characters="\n\t", exclude_categories=["Cs"]))))
def test_what_is_written_is_read_back(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("vocabulary") / "v.word"
    write_vocabulary(path, tokens)
    assert read_vocabulary(path) == tokens
