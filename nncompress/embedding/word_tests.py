"""Common tests of word vectors, with gensim's rules and results."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from nncompress.embedding.keys import Key
from nncompress.errors import InputError
from nncompress.missing import brought_by

_PREDICTIONS = 5


class WordTable(Protocol):
    """The parts of a table with words that similarities need."""

    @property
    def has_words(self) -> bool:
        """Whether rows have words."""

    @property
    def index_to_key(self) -> Sequence[Key]:
        """Each row's word, or its number if it has none."""

    def similarity(self, one: int, other: int, /) -> float:
        """Returns the cosine between two rows."""


class SearchedTable(WordTable, Protocol):
    """A table with words that can be searched."""

    def most_similar(
        self, positive: Any, negative: Any, topn: int, *, restrict_vocab: int | None
    ) -> Any:
        """Returns pairs of key and cosine to a mean of rows, nearest first."""


def evaluate_word_pairs(
    embedding: WordTable,
    pairs: str | os.PathLike,
    delimiter: str = "\t",
    encoding: str = "utf8",
    restrict_vocab: int | None = 300_000,
    case_insensitive: bool = True,
    dummy4unknown: bool = False,
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Correlates cosines with human ratings of the similarity of two words.

    This needs SciPy.

    Args:
        embedding: A table with words.
        pairs: A file with two words and a number per line; lines that begin with ``#`` and lines
            without a number are skipped.
        delimiter: The characters that separate them.
        encoding: The file's encoding.
        restrict_vocab: The number of leading rows whose words are known; None for all.
        case_insensitive: Whether to compare words in upper case; of rows whose words are then the
            same, the first one is used.
        dummy4unknown: Whether to give pairs with an unknown word a similarity of 0 instead of
            leaving them out.

    Returns:
        Pearson's correlation and its p-value, Spearman's and its p-value, and the percentage of
        pairs with an unknown word.

    Raises:
        InputError: The file is missing or has fewer than two pairs of known words.
        ImportError: SciPy is not installed.
    """
    with brought_by("gensim", "a correlation"):
        from scipy import stats
    known = known_words(embedding, restrict_vocab, case_insensitive)
    people: list[float] = []
    cosines: list[float] = []
    unknown = 0
    for one, other, people_say in word_pairs(pairs, delimiter, encoding, case_insensitive):
        if one in known and other in known:
            cosines.append(embedding.similarity(known[one], known[other]))
        else:
            unknown += 1
            if not dummy4unknown:
                continue
            cosines.append(0.0)
        people.append(people_say)
    if len(people) < 2:
        raise InputError(
            f"{pairs} has {len(people)} pairs of words that the table has; wanted at least two, "
            f"on lines of two words and a number separated by {delimiter!r}"
        )
    pearson, spearman = stats.pearsonr(people, cosines), stats.spearmanr(people, cosines)
    asked = len(people) if dummy4unknown else len(people) + unknown
    return (
        (float(pearson[0]), float(pearson[1])),
        (float(spearman[0]), float(spearman[1])),
        100.0 * unknown / asked,
    )


def word_pairs(
    pairs: str | os.PathLike,
    delimiter: str = "\t",
    encoding: str = "utf8",
    case_insensitive: bool = True,
) -> list[tuple[str, str, float]]:
    """Reads pairs of words and ratings of their similarity; see ``evaluate_word_pairs``.

    Returns:
        Two words, in upper case if case is ignored, and a number for each line.

    Raises:
        InputError: The file is missing or not text in this encoding, or the delimiter is empty.
    """
    if not delimiter:
        raise InputError("the delimiter is empty; wanted the characters between words and number")
    found: list[tuple[str, str, float]] = []
    for line in _lines(pairs, encoding):
        if line.startswith("#"):
            continue
        try:
            one, other, similarity = (line.upper() if case_insensitive else line).split(delimiter)
            found.append((one, other, float(similarity)))
        except ValueError:
            continue
    return found


def evaluate_word_analogies(
    embedding: SearchedTable,
    analogies: str | os.PathLike,
    restrict_vocab: int | None = 300_000,
    case_insensitive: bool = True,
    dummy4unknown: bool = False,
) -> tuple[float, list[dict[str, object]]]:
    """Answers questions of the form "a is to b as c is to what?".

    Source: Mikolov et al., "Efficient Estimation of Word Representations in Vector Space", 2013,
    section 4.1, and gensim's rules.

    Args:
        embedding: A table with words.
        analogies: A file with four words per line; a line ``: name`` begins a section.
        restrict_vocab: The number of leading rows whose words are known and can be answers.
        case_insensitive: Whether to compare words in upper case; see ``evaluate_word_pairs``.
        dummy4unknown: Whether to count questions with an unknown word as wrong instead of leaving
            them out.

    Returns:
        The share of correct answers; and for each section, with the total as the last one, its
        name and the questions answered correctly and incorrectly.

    Raises:
        InputError: The file is missing, or a question precedes any section. (Lines without four
            words are skipped.)
    """
    known = known_words(embedding, restrict_vocab, case_insensitive)
    upper = str.upper if case_insensitive else str
    sections: list[dict[str, Any]] = []
    for number, line in enumerate(_lines(analogies, "utf8"), 1):
        if line.startswith(": "):
            sections.append({"section": line[2:].strip(), "correct": [], "incorrect": []})
            continue
        words = tuple(upper(line).split())
        if not sections:
            raise InputError(
                f"{analogies}, line {number}: {line.strip()[:60]!r}; wanted a line ': SECTION' "
                "before the first question"
            )
        if len(words) != 4:
            continue
        if not all(word in known for word in words):
            if dummy4unknown:
                sections[-1]["incorrect"].append(words)
            continue
        *asked, expected = (known[word] for word in words)
        right = _answer(embedding, asked, known, upper, restrict_vocab) == expected
        sections[-1]["correct" if right else "incorrect"].append(words)
    total = {
        kind: [question for section in sections for question in section[kind]]
        for kind in ("correct", "incorrect")
    }
    sections.append({"section": "Total accuracy", **total})
    answered = len(total["correct"]) + len(total["incorrect"])
    return (len(total["correct"]) / answered if answered else 0.0), sections


def _answer(
    embedding: SearchedTable,
    asked: list[int],
    known: dict[str, int],
    upper: Callable[[str], str],
    restrict_vocab: int | None,
) -> int | None:
    """Returns the row of the known word nearest to b - a + c, other than those; or None."""
    a, b, c = asked
    nearest = embedding.most_similar([b, c], [a], _PREDICTIONS, restrict_vocab=restrict_vocab)
    words = (upper(word) for word, _ in nearest)
    return next((known[word] for word in words if known.get(word, a) not in asked), None)


def known_words(
    embedding: WordTable, restrict_vocab: int | None = 300_000, case_insensitive: bool = True
) -> dict[str, int]:
    """Returns the rows of known words; see ``evaluate_word_pairs``.

    Raises:
        InputError: The table has no words.
    """
    if not embedding.has_words:
        raise InputError("the table has no words; wanted a table with words to test")
    known: dict[str, int] = {}
    for row, word in enumerate(embedding.index_to_key):
        if restrict_vocab and row >= restrict_vocab:
            break
        if isinstance(word, str):
            known.setdefault(word.upper() if case_insensitive else word, row)
    return known


def _lines(path: str | os.PathLike, encoding: str) -> list[str]:
    path = Path(path)
    if not path.is_file():
        seen = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {seen}; wanted a text file")
    try:
        return path.read_text(encoding=encoding).splitlines()
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError(f"{path} cannot be read as {encoding} text: {error}") from None
