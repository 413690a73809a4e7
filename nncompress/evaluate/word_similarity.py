"""Word similarity: do tables find those words similar that people do?"""

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
    """Reads the pairs of a file whose words are both known.

    Args:
        known: The row of each word, words in upper case; see ``word_tests.known_words``.
        path: Two words and a number a line, with tabs between them; other lines are left out.

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
            f"{path} has {len(found)} pairs of words that the table has; wanted two at least, "
            "each line being two words and a number with a tab between them"
        )
    rows = np.array([each[:2] for each in found], np.int64)
    return rows, [each[2] for each in found]


def word_similarity(
    known: Mapping[str, int], original: _Rows, compressed: _Rows, path: str | os.PathLike
) -> Score:
    """Correlates cosines of words with people's similarities, in two tables of the same words.

    Args:
        known: The row of each word, in upper case.
        original: Returns the original's rows, float32 ``(n, D)``, by their numbers.
        compressed: Returns the compressed table's.
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
    """Does the same for two models that make a vector of any text, each word being a text.

    Args:
        original: Returns the original's vectors of texts, ``(n, D)``.
        compressed: Returns the compressed model's.
        path: Two words and a number a line, with tabs between them; other lines are left out.

    Raises:
        InputError: The file is missing, or has fewer than two pairs.
    """
    found = word_pairs(path, case_insensitive=False)
    if len(found) < 2:
        raise InputError(
            f"{path} has {len(found)} pairs; wanted two at least, each line being two words and "
            "a number with a tab between them"
        )
    ones, others, people = zip(*found, strict=True)
    cosines = [cosines_of_pairs(encode(ones), encode(others)) for encode in (original, compressed)]
    return similarity_score("pairs", os.path.basename(path), people, *cosines)
