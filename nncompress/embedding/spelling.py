"""Finding the words of a table with the spelling nearest to that of a missing word."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from nncompress.embedding.sharded_vocabulary import ShardedVocabulary
from nncompress.embedding.vocabulary import Vocabulary

MOST_SUGGESTED = 3
# Longer words have few plausible misspellings; for shorter ones almost any word is plausible.
_MOST_LETTERS = 40
_FEWEST_LETTERS = 3
# From this many letters on, two edits also count as a misspelling.
_LETTERS_FOR_TWO_EDITS = 7
# Comparing this many words takes about a second. In a larger table, only words with the same first
# letter are compared.
_MOST_READ = 1 << 20

Words = Vocabulary | ShardedVocabulary


def nearest_spellings(words: Iterable[str], vocabulary: Words) -> dict[str, list[str]]:
    """Finds the words that were most likely meant by missing words.

    First come words that differ only in capitals, accents or Unicode normal form. Then come words
    that are one edit away, or two from seven letters on: a letter deleted, inserted or replaced,
    or two neighbouring letters swapped (the optimal string alignment distance: Boytsov, "Indexing
    methods for approximate dictionary searching", 2011). Of equally near words, the one with the
    lower row number comes first, which in most tables is the more frequent one.

    Args:
        words: The words that are missing.
        vocabulary: The words of the table.

    Returns:
        For each missing word at most three others, nearest first; none if no word is near.
    """
    found = {
        word: [form for form in _forms(word) if vocabulary.find(form) >= 0][:MOST_SUGGESTED]
        for word in words
    }
    unknown = [
        word
        for word, forms in found.items()
        if not forms and _FEWEST_LETTERS <= len(word) <= _MOST_LETTERS
    ]
    is_large = len(vocabulary) > _MOST_READ
    for start in {word[0] if is_large else "" for word in unknown}:
        others = list(_sorted_words(vocabulary, start))
        for word in unknown:
            if word.startswith(start):
                found[word] = _nearest(word, others, vocabulary)
    return found


def did_you_mean(suggestions: Mapping[str, Sequence[str]]) -> str:
    """Returns the end of a message about missing words; empty if there is no suggestion.

    Args:
        suggestions: The words that may have been meant, for each missing word.
    """
    known = {word: others for word, others in suggestions.items() if others}
    meant = [
        " or ".join(map(repr, others)) + (f" for {word!r}" if len(suggestions) > 1 else "")
        for word, others in known.items()
    ]
    return f"; did you mean {', '.join(meant)}?" if meant else ""


def edit_distances(word: str, others: Sequence[str]) -> np.ndarray:
    """Computes the optimal string alignment distance from a word to each of many others.

    Args:
        word: The word.
        others: The other words, at least one.

    Returns:
        The number of letters to delete, insert, replace, or swap with their neighbour, int16
        ``(n,)``.
    """
    lengths = np.array([len(other) for other in others])
    longest = int(lengths.max())
    # One column per word, so that a step for all words reads contiguous numbers.
    letters = np.ascontiguousarray(
        np.array(others, dtype=f"<U{max(1, longest)}").view(np.uint32).reshape(len(others), -1).T
    )
    wanted = [ord(letter) for letter in word]
    before = np.empty((longest + 1, len(others)), np.int16)
    last = np.empty_like(before)
    last[:] = np.arange(longest + 1)[:, None]
    for i, letter in enumerate(wanted, 1):
        now = np.empty_like(last)
        now[0] = i
        for j in range(1, longest + 1):
            np.minimum(last[j], now[j - 1], out=now[j])
            now[j] += 1
            differs = letters[j - 1] != letter
            np.minimum(now[j], last[j - 1] + differs, out=now[j])
            if i > 1 and j > 1:
                swapped = (letters[j - 1] == wanted[i - 2]) & (letters[j - 2] == letter)
                np.minimum(now[j], before[j - 2] + 1, out=now[j], where=swapped)
        before, last = last, now
    return last[lengths, np.arange(len(others))]


def _nearest(word: str, others: Sequence[str], vocabulary: Words) -> list[str]:
    """Returns the words that are few edits away, nearest first."""
    most = 1 if len(word) < _LETTERS_FOR_TWO_EDITS else 2
    candidates = [other for other in others if abs(len(other) - len(word)) <= most]
    if not candidates:
        return []
    # A capital at the beginning does not count as a typing error.
    spelled = {word, word.lower()}
    distances = np.min([edit_distances(each, candidates) for each in spelled], axis=0)
    near = [
        (int(distances[place]), vocabulary.find(candidates[place]), candidates[place])
        for place in np.flatnonzero(distances <= most)
    ]
    return [candidate for _, _, candidate in sorted(near)[:MOST_SUGGESTED]]


def _forms(word: str) -> list[str]:
    """Returns other spellings of a word, the likeliest first."""
    normal = unicodedata.normalize("NFC", word)
    decomposed = unicodedata.normalize("NFD", word)
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    forms = (
        *(normal, decomposed, word.lower(), word.capitalize(), word.upper(), word.title()),
        *(word.casefold(), plain, plain.lower(), word.strip(), word.strip().lower()),
    )
    return [form for form in dict.fromkeys(forms) if form != word]


def _sorted_words(vocabulary: Words, prefix: str) -> Iterator[str]:
    parts = vocabulary.parts if isinstance(vocabulary, ShardedVocabulary) else [vocabulary]
    for part in parts:
        if part is not None:
            yield from part.sorted_words(prefix)
