import pickle
import random

import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.embedding import spelling
from nncompress.embedding.keys import MissingKeys
from nncompress.embedding.spelling import edit_distances, nearest_spellings
from nncompress.embedding.vocabulary import Vocabulary

WORDS = [
    *("the", "king", "queen", "paris", "zurich", "été", "naïve", "receive", "recital"),
    *("accommodation", "accommodations", "ring", "kings", "a", "b"),
]


@pytest.fixture
def vocabulary():
    return Vocabulary.of_words(WORDS, len(WORDS))


def distance(one, other):
    """The optimal string alignment distance, by its recursive definition."""
    table = {}
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not (i and j):
                table[i, j] = i or j
                continue
            differs = one[i - 1] != other[j - 1]
            table[i, j] = min(
                table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + differs
            )
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(one), len(other)]


def test_distances_are_those_of_the_definition():
    draw = random.Random(1)
    others = ["".join(draw.choices("abé", k=draw.randrange(8))) for _ in range(200)]
    for word in ("abé", "bbaab", "é", "abababa"):
        expected = [distance(word, other) for other in others]
        assert edit_distances(word, others).tolist() == expected


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *(("King", ["king"]), ("KING", ["king"]), ("Zürich", ["zurich"]), ("Été", ["été"])),
        *((" king", ["king"]), ("e\u0301te\u0301", ["été"]), ("Qeen", ["queen"])),
        *(("kign", ["king"]), ("kinb", ["king"]), ("wing", ["king", "ring"])),
        *(("recieve", ["receive"]), ("acommodation", ["accommodation", "accommodations"])),
        *(("x", []), ("xylophone", []), ("", []), ("\ud800", []), ("k" * 99, [])),
    ],
)
def test_likely_words_are_found(vocabulary, word, meant):
    assert nearest_spellings([word], vocabulary) == {word: meant}


def test_of_a_very_large_vocabulary_words_with_the_same_first_letter_are_found(
    vocabulary, monkeypatch
):
    monkeypatch.setattr(spelling, "_MOST_READ", 3)
    found = nearest_spellings(["kigns", "wing", "qeen"], vocabulary)
    assert found == {"kigns": ["kings"], "wing": [], "qeen": ["queen"]}


def test_words_with_a_prefix_are_those_that_begin_so():
    words = [f"{letter}{i}" for letter in "abé" for i in range(40)] + ["a"]
    vocabulary = Vocabulary.of_words(words, len(words))
    for prefix in ("", "a", "a1", "b39", "é", "z", "\udc80"):
        expected = sorted((w for w in words if w.startswith(prefix)), key=str.encode)
        assert list(vocabulary.sorted_words(prefix)) == expected


def test_a_missing_key_names_what_was_meant_when_it_is_shown(monkeypatch):
    codes = np.zeros((len(WORDS), 2), int)
    embedding = CompressedEmbedding.from_codes(codes, np.ones((4, 3), np.float32), WORDS)
    with monkeypatch.context() as patched:
        patched.setattr(spelling, "_forms", None)  # nothing is looked for
        with pytest.raises(KeyError) as raised:
            embedding[["King", "recieve", 3]]
    assert isinstance(raised.value, MissingKeys)
    message = str(raised.value)
    assert message.startswith("'King', 'recieve': not among the 15 keys of this table")
    assert message.endswith("; did you mean 'king' for 'King', 'receive' for 'recieve'?")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.missing) == (message, ["King", "recieve"])
    with pytest.raises(KeyError, match=r"row number from 0 to 14; did you mean 'king'\?$"):
        embedding.get_vector("King")
