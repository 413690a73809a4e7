"""Word similarity: the agreement of a table's similarities with people's."""

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nncompress.embedding.word_tests import word_pairs
from nncompress.errors import InputError
from nncompress.evaluate.report import Score
from nncompress.evaluate.similarity_score import cosines_of_pairs, similarity_score

_Rows = Callable[[np.ndarray], np.ndarray]


def pairs_of_rows(
    known: Mapping[str, int], path: str | os.PathLike
) -> tuple[np.ndarray, list[float]]:
    """Reads the pairs in a file whose words are both known.

    Args:
        known: The row of each word, words in upper case; see ``word_tests.known_words``.
        path: A file with two words and a number on each line, separated by tabs; other lines are
            ignored.

    Returns:
        The rows of the words, int64 ``(n, 2)``, and the numbers.

    Raises:
        InputError: The file is missing, or has fewer than two such pairs.
    """
    found = [
        (known[one], known[other], people)
        for one, other, people in word_pairs(path)
        if one in known and other in known
    ]
    if len(found) < 2:
        raise InputError(
            f"{path} has {len(found)} pairs of words that are in the table; wanted at least two, "
            "each on a line of two words and a number separated by tabs"
        )
    rows = np.array([each[:2] for each in found], np.int64)
    return rows, [each[2] for each in found]


def word_similarity(
    known: Mapping[str, int], original: _Rows, compressed: _Rows, path: str | os.PathLike
) -> Score:
    """Correlates the cosines of word pairs with people's similarities, before and after.

    Args:
        known: The row of each word, in upper case.
        original: Takes row numbers and returns the original's rows, float32 ``(n, D)``.
        compressed: Takes row numbers and returns the compressed table's rows.
        path: A file for ``pairs_of_rows``.

    Raises:
        InputError: The file cannot be used.
    """
    rows, people = pairs_of_rows(known, path)
    cosines = [
        cosines_of_pairs(*(take(side) for side in rows.T)) for take in (original, compressed)
    ]
    return similarity_score("pairs", os.path.basename(path), people, *cosines)


def word_similarity_of_texts(
    original: Callable[[Sequence[str]], np.ndarray],
    compressed: Callable[[Sequence[str]], np.ndarray],
    path: str | os.PathLike,
) -> Score:
    """Does the same as ``word_similarity`` for two models that encode each word as a text.

    Args:
        original: Takes texts and returns the original model's vectors, ``(n, D)``.
        compressed: Takes texts and returns the compressed model's vectors.
        path: A file with two words and a number on each line, separated by tabs; other lines are
            ignored.

    Raises:
        InputError: The file is missing, or has fewer than two pairs.
    """
    found = word_pairs(path, case_insensitive=False)
    if len(found) < 2:
        raise InputError(
            f"{path} has {len(found)} pairs of words; wanted at least two, each on a line of two "
            "words and a number separated by tabs"
        )
    ones, others, people = zip(*found, strict=True)
    cosines = [cosines_of_pairs(encode(ones), encode(others)) for encode in (original, compressed)]
    return similarity_score("pairs", os.path.basename(path), people, *cosines)
