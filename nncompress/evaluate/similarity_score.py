"""Scores for the agreement of similarities with people's, before and after compression."""

from collections.abc import Sequence

import numpy as np

from nncompress.errors import InputError
from nncompress.evaluate.bootstrap import figures
from nncompress.evaluate.neighbours import units
from nncompress.evaluate.rank_correlation import spearman
from nncompress.evaluate.report import Score


def similarity_score(
    task: str,
    data: str,
    people: Sequence[float],
    original: np.ndarray,
    compressed: np.ndarray,
) -> Score:
    """Correlates the similarities of pairs with people's, for two tables or models.

    Args:
        task: ``"pairs"`` or ``"sts"``.
        data: The name of the file of pairs.
        people: People's similarity of each pair, n numbers, at least 2.
        original: The similarities by the original, ``(n,)``.
        compressed: The similarities by the compressed table or model, ``(n,)``.

    Returns:
        100 times Spearman's correlations, and their difference, on the same pairs each time.

    Raises:
        InputError: People find all pairs equally similar.
    """
    judged = np.asarray(people, np.float64)
    if (judged == judged[0]).all():
        raise InputError(
            f"{data} has the score {judged[0]:g} for all pairs, so there is nothing to compare; "
            "wanted scores that differ"
        )

    def correlations(items: np.ndarray) -> np.ndarray:
        before, after = (100 * spearman(judged[items], y[items]) for y in (original, compressed))
        return np.stack([before, after, after - before])

    before, after, change = figures(correlations, len(judged))
    return Score(task, data, before, after, change, f"{len(judged):,} pairs")


def cosines_of_pairs(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the cosines of corresponding rows of two arrays ``(n, D)``, float64 ``(n,)``."""
    first, second = (units(np.asarray(rows, np.float64)) for rows in (ones, others))
    return np.einsum("nd,nd->n", first, second)
