import codecs
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nncompress import InputError
from nncompress.sources import row_words
from nncompress.sources.places import LocalPlace
from nncompress.sources.row_words import LineWords
from nncompress.sources.vocabulary import read_lines, write_vocabulary

PIECES = ["a", "é", "\u2028", "\ufeff", "x" * 9, " ", "\r", "\n", "\r\n"]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(row_words, "_CHUNK", 7)
    monkeypatch.setattr(row_words, "_STEP", 3)


@settings(max_examples=300)
@given(text=st.lists(st.sampled_from(PIECES)).map("".join), data=st.data())
@example(text="a\r\n" * 9, data=None)
@example(text="\ufeff", data=None)
def test_lines_are_those_of_a_vocabulary(tmp_path_factory, text, data):
    path = tmp_path_factory.mktemp("words") / "words"
    path.write_bytes(text.encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = read_lines(path)
        words = LineWords(LocalPlace(path))
        assert len(words) == len(expected)
    assert words.read(0, len(expected)) == expected
    for first in range(len(expected)):
        last = first + 1 if data is None else data.draw(st.integers(first, len(expected) + 3))
        assert words.read(first, last) == expected[first:last]


def test_what_is_written_is_read(tmp_path):
    for tokens in (["a\r"] * 5, ["\ufeffa", "b"], [""] * 10, []):
        write_vocabulary(tmp_path / "words", tokens)
        words = LineWords(LocalPlace(tmp_path / "words"))
        assert words.read(0, len(words)) == tokens


def test_lines_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    path = tmp_path / "words"
    path.write_bytes(b"a\nb\n\xff\n")
    with pytest.raises(InputError, match="line 3: invalid UTF-8"):
        LineWords(LocalPlace(path)).read(0, 3)
    path.write_bytes(codecs.BOM_UTF16_LE + b"a\0")
    with pytest.raises(InputError, match="is UTF-16 text"):
        len(LineWords(LocalPlace(path)))
    monkeypatch.setattr(row_words, "MOST_LINE_BYTES", 20)
    for line, number in ((b"a\n" * 8 + b"b" * 21, 9), (b"b" * 30 + b"\n", 1)):
        path.write_bytes(line)
        with pytest.raises(InputError, match=f"line {number}: more than"):
            len(LineWords(LocalPlace(path)))
    path.write_bytes(b"a\n" * 8 + b"b" * 20)
    words = LineWords(LocalPlace(path))
    assert words.read(8, 9) == ["b" * 20]
    path.write_bytes(b"a\n" * 5)
    with pytest.raises(InputError, match="has 5 lines, and had 9 before"):
        words.read(3, 9)
