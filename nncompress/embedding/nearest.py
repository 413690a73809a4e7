"""The largest of many scores."""

import numpy as np

_BLOCK = 64


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Returns where the largest scores are, in falling order; equal ones in the order they have.

    Args:
        scores: ``(n,)``, without NaN.
        count: How many, at least 1; all, if there are fewer.
    """
    count = min(count, len(scores))
    whole = len(scores) // _BLOCK * _BLOCK
    places = np.arange(len(scores))
    if whole // _BLOCK > count:
        # As many blocks as are wanted have a score that is no less than the least of their
        # largest ones: scores below it are not wanted.
        tops = scores[:whole].reshape(-1, _BLOCK).max(axis=1)
        least = np.partition(tops, -count)[-count]
        places = np.flatnonzero(scores >= least)
    order = np.argsort(-scores[places], kind="stable")
    return places[order[:count]]
