import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nncompress.embedding.keys import Keys
from nncompress.embedding.symbol_table import SymbolTable
from nncompress.embedding.vocabulary import SECTIONS, Vocabulary
from nncompress.errors import FormatError, InputError

WORDS = st.lists(st.none() | st.text(max_size=20).filter(lambda w: not has_surrogates(w)))
CONTROL = ["", "\x00", "\x1f\x00", "a\x1fb", "a\x1f", "\xff", "ÿ\x01", "\n", "\t", "\x7f", "@"]


def has_surrogates(word):
    return any("\ud800" <= character <= "\udfff" for character in word)


def reopened(vocabulary, num_rows):
    """The same vocabulary over read-only copies, as a mapped file has them."""
    sections = {
        name: np.frombuffer(vocabulary.sections[name].tobytes(), vocabulary.sections[name].dtype)
        for name in SECTIONS
    }
    return Vocabulary(sections, len(vocabulary), num_rows)


@settings(deadline=None)  # the machine may be busy
@given(WORDS, st.integers(0, 5))
@example([], 1)
@example(CONTROL, 0)
@example(["x" * 5_000, "x" * 4_999 + "y", "x" * 127, "x" * 128, "x" * 40], 0)
@example([chr(0x10FFFF), "é", "e\u0301", "\u2028", " ", "  "], 2)
@example([f"w{i}" for i in range(100)], 0)
def test_words_are_found_and_read_back(words, padding):
    num_rows = len(words) + padding
    if num_rows == 0:
        return
    vocabulary = reopened(Vocabulary.of_words(words, num_rows), num_rows)
    first = {}
    for row, word in enumerate(words):
        if word is not None:
            first.setdefault(word, row)
    assert len(vocabulary) == len(first)
    assert {word: vocabulary.find(word) for word in first} == first
    expected = [word if first.get(word) == row else None for row, word in enumerate(words)]
    expected += [None] * padding
    assert vocabulary.words() == expected
    assert [vocabulary.word(row) for row in range(num_rows)] == expected
    for absent in ("absent!", "\ud800", "\U0010fffe~", "~"):
        if absent not in first:
            assert vocabulary.find(absent) == -1


def test_many_words_are_small_and_found(random):
    syllables = ["ba", "ko", "mi", "ter", "ing", "un", "pre", "löw", "zz", "a"]
    words = ["".join(random.choice(syllables, size=random.integers(1, 7))) for _ in range(40_000)]
    words = list(dict.fromkeys(words))
    vocabulary = Vocabulary.of_words(words, len(words))
    assert [vocabulary.find(word) for word in words[::37]] == list(range(0, len(words), 37))
    assert vocabulary.words() == words
    assert (vocabulary.positions >= 0).all()
    assert sorted(vocabulary.positions.tolist()) == list(range(len(words)))
    stored = sum(section.nbytes for section in vocabulary.sections.values())
    assert stored < 0.75 * len("\n".join(words).encode())


@pytest.mark.parametrize("word", ["\ud800", 7, b"bytes", 1.5])
def test_what_is_no_text_is_refused(word):
    with pytest.raises(InputError, match="row 1 has the word"):
        Vocabulary.of_words(["a", word], 2)


def test_more_words_than_rows_are_refused():
    with pytest.raises(InputError, match="3 words were given for 2 rows"):
        Vocabulary.of_words(["a", "b", "c"], 2)


def look_at(vocabulary, words):
    """Uses a vocabulary in every way; what it may raise is a FormatError."""
    try:
        for word in words:
            assert -1 <= vocabulary.find(word) < 200
        vocabulary.words()
        [vocabulary.word(row) for row in range(200)]
    except FormatError:
        pass


@given(st.data())
def test_altered_bytes_give_wrong_words_at_worst(data):
    words = [f"w{i * 7919 % 1000}\x01" for i in range(200)]
    sections = {
        name: section.copy() for name, section in Vocabulary.of_words(words, 200).sections.items()
    }
    for _ in range(data.draw(st.integers(1, 30))):
        section = sections[data.draw(st.sampled_from(SECTIONS))]
        largest = np.iinfo(section.dtype).max
        place = data.draw(st.integers(0, len(section) - 1))
        section[place] = data.draw(st.integers(0, largest))
    look_at(Vocabulary(sections, 200, 200), [*words[::20], "", "zz", "w"])


@given(st.binary(max_size=40), st.binary(max_size=400), st.lists(st.integers(0, 500)))
def test_foreign_bytes_do_no_harm(symbols, blocks, offsets):
    sections = {
        "symbols": np.frombuffer(symbols, np.uint8),
        "blocks": np.frombuffer(blocks, np.uint8),
        "offsets": np.resize(np.array([*offsets, 3], np.uint32), 14),
        "rows": np.resize(np.frombuffer(b"\xf0\x01" + blocks, np.uint8), 200),
    }
    look_at(Vocabulary(sections, 200, 200), ["", "a", "zz"])


def test_sections_of_the_wrong_size_are_refused():
    sections = Vocabulary.of_words(["a", "b"], 2).sections
    with pytest.raises(FormatError, match="offsets have 2 entries; wanted 3 for 20 words"):
        Vocabulary(sections, 20, 20)
    with pytest.raises(FormatError, match="rows have 1 entries; wanted 12"):
        Vocabulary(sections | {"offsets": np.zeros(3, np.uint32)}, 20, 9)


@given(st.lists(st.binary(max_size=60)), st.binary(max_size=60))
def test_a_symbol_table_expands_what_it_compressed(sample, string):
    table = SymbolTable.fit(sample)
    again = SymbolTable.from_bytes(table.to_bytes())
    for each in [*sample, string]:
        assert again.expand(table.compress(each)) == each


def test_frequent_pieces_take_a_byte():
    table = SymbolTable.fit([b"abcdefgh" * 20] * 5)
    assert len(table.compress(b"abcdefgh" * 100)) == 100
    assert table.expand(b"\xff") == b"\0"


def test_overlapping_blocks_are_refused_and_take_no_memory():
    """Offsets that go back and forth would read the whole section for each block."""
    vocabulary = Vocabulary.of_words([f"w{i}" for i in range(16_384)], 16_384)
    sections = {name: section.copy() for name, section in vocabulary.sections.items()}
    sections["offsets"][0::2], sections["offsets"][1::2] = 0, len(sections["blocks"])
    overlapping = Vocabulary(sections, 16_384, 16_384)
    for look in (lambda: overlapping.find("a"), overlapping.words):
        with pytest.raises(FormatError, match="blocks overlap"):
            look()


def altered(words, **changes):
    """A vocabulary with some of its sections replaced."""
    sections = Vocabulary.of_words(words, len(words)).sections
    for name, data in changes.items():
        sections[name] = np.frombuffer(data, sections[name].dtype)
    return Vocabulary(sections, len(words), len(words))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": b"\x01b\xff\x00\xff\x61"}, "out of order"),
        ({"blocks": b"\x01a\xff\x00\xff\x61"}, "out of order"),  # the same word twice
        ({"blocks": b"\x09a\xff\x00\xff\x62"}, "begins with a word of 9 bytes"),
        ({"blocks": b"\xff\xff\xff\xff\x0f\x00"}, "begins with a word of"),
        ({"blocks": b"\x01a\xff\x62\xff\x00"}, "holds 2 words; wanted 2"),
        ({"blocks": b"\x01a\xff\x00\xff\x80"}, "not UTF-8"),
        ({"rows": b"\x00"}, "two words name one row"),
    ],
)
def test_damage_is_told_wherever_words_are_all_read(changes, message):
    vocabulary = altered(
        ["a", "b"],
        offsets=np.array([0, 6], "<u4").tobytes(),
        **{"blocks": b"\x01a\xff\x00\xff\x62", **changes},
    )
    keys = Keys(vocabulary, 2)
    with pytest.raises(FormatError, match=message):
        dict(keys.key_to_index)
    with pytest.raises(FormatError, match=message):
        list(keys.index_to_key)


def test_blocks_out_of_order_are_told():
    words = [f"{i:02}" for i in range(32)]
    blocks = Vocabulary.of_words(words, 32).sections["blocks"].copy()
    assert blocks[:3].tobytes() == b"\x0200"
    blocks[1] = ord("9")
    with pytest.raises(FormatError, match="out of order"):
        altered(words, blocks=blocks.tobytes()).words()
    blocks = Vocabulary.of_words(words, 32).sections["blocks"].copy()
    half = len(blocks) // 2
    swapped = np.concatenate([blocks[half:], blocks[:half]])
    with pytest.raises(FormatError, match=r"damaged"):
        altered(words, blocks=swapped.tobytes()).words()


@pytest.mark.parametrize("filling", [b"\x00", b"\x01", b"\xff", b"\xff\x00"])
def test_a_giant_block_takes_no_memory(filling):
    """Each code may stand for eight bytes, and each of these for a word."""
    blocks = b"\x01a\x02" + filling * (8 << 20)
    symbols = b"\x08" + bytes(8) + b"\x08abcdefgh\x01\x00"
    offsets = np.array([0, len(blocks)], "<u4").tobytes()
    giant = altered(["a", "b"], blocks=blocks, symbols=symbols, offsets=offsets)
    tracemalloc.start()
    try:
        for look in (lambda: giant.find("a"), giant.words, lambda: giant.word(1)):
            with pytest.raises(FormatError, match="damaged"):
                look()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_word_longer_than_any_is_refused():
    blocks = b"\x01a" + b"\x00" + b"\x01" * 4_000
    symbols = b"\x01\x00\x08abcdefgh"
    offsets = np.array([0, len(blocks)], "<u4").tobytes()
    long = altered(["a", "b"], blocks=blocks, symbols=symbols, offsets=offsets)
    with pytest.raises(FormatError, match="longer than any"):
        long.find("a")
