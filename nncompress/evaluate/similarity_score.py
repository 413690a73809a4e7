"""How well similarities agree with people's, before and after compression."""

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
        people: How similar people find each pair, n numbers, at least 2.
        original: How similar the original finds them, ``(n,)``.
        compressed: How similar the compressed one finds them, ``(n,)``.

    Returns:
        100 times Spearman's correlations, and their difference, on the same pairs each time.

    Raises:
        InputError: People find all pairs equally similar.
    """
    judged = np.asarray(people, np.float64)
    if (judged == judged[0]).all():
        raise InputError(
            f"{data} has {judged[0]:g} for all pairs, which any similarities agree with; wanted "
            "pairs that differ"
        )

    def correlations(items: np.ndarray) -> np.ndarray:
        before, after = (100 * spearman(judged[items], y[items]) for y in (original, compressed))
        return np.stack([before, after, after - before])

    before, after, change = figures(correlations, len(judged))
    return Score(task, data, before, after, change, f"{len(judged):,} pairs")


def cosines_of_pairs(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the cosine between each row of one array ``(n, D)`` and that of another, float64."""
    first, second = (units(np.asarray(rows, np.float64)) for rows in (ones, others))
    return np.einsum("nd,nd->n", first, second)
