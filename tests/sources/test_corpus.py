import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nncompress.errors import InputError
from nncompress.sources import corpus
from nncompress.sources.corpus import count_tokens, words_of


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(text=st.text("aé \n\t\x0b", max_size=60), size=st.integers(1, 9))
def test_words_are_those_between_white_space_wherever_pieces_end(
    tmp_path, monkeypatch, text, size
):
    (tmp_path / "text").write_bytes(text.encode())
    with monkeypatch.context() as patched:
        patched.setattr(corpus, "_PIECE_BYTES", size)
        words = [word for some in words_of(tmp_path / "text") for word in some]
    assert words == text.encode().split()


def test_a_word_that_no_table_has_takes_no_more_memory_than_one_that_some_have(tmp_path):
    (tmp_path / "text.txt.gz").write_bytes(gzip.compress(b"the " + b"x" * (3 << 20) + b" end"))
    words = [word for some in words_of(tmp_path / "text.txt.gz") for word in some]
    assert [words[0], words[-1]] == [b"the", b"end"]
    assert max(map(len, words)) <= (1 << 20) + (1 << 14) + 1
    assert all(len(word) > 1 << 14 for word in words[1:-1])


def test_text_that_is_missing_or_in_utf_16_is_told(tmp_path):
    (tmp_path / "text").write_text("one two", encoding="utf-16")
    with pytest.raises(InputError, match="text is UTF-16 text; wanted UTF-8"):
        list(words_of(tmp_path / "text"))
    with pytest.raises(InputError, match="none does not exist; wanted a text in a file"):
        list(words_of(tmp_path / "none"))


@pytest.fixture
def tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: number for number, word in enumerate(["[CLS]", "?", "one", "two", "é"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 0)]
    )
    made.enable_truncation(2)
    made.enable_padding(pad_id=3, length=9)
    return made


@pytest.mark.parametrize("size", [16, 1 << 20])
def test_tokens_are_counted_line_by_line_and_none_is_cut_off_or_filled_up(
    tmp_path, tokenizer, monkeypatch, size
):
    lines = ["one two one", "", "é three one é", "two\r"]
    (tmp_path / "text").write_text("\n".join(lines), newline="")
    monkeypatch.setattr(corpus, "_TOKENIZED_BYTES", size)
    counts, total = count_tokens(tmp_path / "text", tokenizer, 4)
    assert counts.tolist() == [3, 1, 3, 2]  # what begins a text, what is not known, one and two
    assert total == 11  # with the last token, which has no row


def test_a_long_line_is_parted_between_words(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpus, "_TOKENIZED_BYTES", 64)
    (tmp_path / "text").write_text("one two é " * 500)
    counts, total = count_tokens(tmp_path / "text", tokenizer, 5)
    assert counts[1:].tolist() == [0, 500, 500, 500]
    assert total == 1_500 + counts[0]


def test_characters_of_a_line_without_spaces_stay_whole(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpus, "_TOKENIZED_BYTES", 7)
    tokenizer.pre_tokenizer = None
    seen = []

    class Seeing:
        no_truncation = no_padding = lambda self: None

        def encode_batch_fast(self, lines, add_special_tokens):
            seen.extend(lines)
            return []

    (tmp_path / "text").write_text("日本語é𝄞ab" * 40)
    count_tokens(tmp_path / "text", Seeing(), 5)
    assert "".join(seen) == "日本語é𝄞ab" * 40
