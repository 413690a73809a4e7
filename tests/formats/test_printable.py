import pytest

from nncompress.formats.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\x1b[2J\x9b", r"a\nb\x1b[2J\x9b"),
        ("a\u2028b\u202ec\ud800", r"a\u2028b\u202ec\ud800"),
    ],
)
def test_what_controls_a_terminal_or_turns_text_around_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("word", ["می\u200cشود", "👩\u200d🔬", "10\u00a0km", "naïve"])
def test_words_stay_as_they_are_spelt(word):
    assert printable(word) == word
