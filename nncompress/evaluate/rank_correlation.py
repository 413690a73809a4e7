"""Spearman's rank correlation of many samples at once."""

import numpy as np


def spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns Spearman's rank correlation along the last axis.

    Args:
        one: ``(..., n)``.
        other: Of the same shape.

    Returns:
        float64 ``(...)``; 0 where all values of either input are the same.
    """
    first, second = _deviations(one), _deviations(other)
    products = np.einsum("...n,...n->...", first, second)
    squares = (np.einsum("...n,...n->...", each, each) for each in (first, second))
    lengths = np.sqrt(np.prod(list(squares), axis=0))
    return products / np.where(lengths > 0, lengths, 1.0)


def _deviations(values: np.ndarray) -> np.ndarray:
    """Returns ranks minus their mean; equal values share the mean of their ranks."""
    order = np.argsort(values, axis=-1)
    rising = np.take_along_axis(values, order, axis=-1)
    count = values.shape[-1]
    places = np.broadcast_to(np.arange(count), values.shape)
    differs = rising[..., 1:] != rising[..., :-1]
    edge = np.ones((*values.shape[:-1], 1), bool)
    first = np.where(np.concatenate([edge, differs], axis=-1), places, 0)
    last = np.where(np.concatenate([differs, edge], axis=-1), places, count - 1)
    first = np.maximum.accumulate(first, axis=-1)
    last = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2, axis=-1)
    return ranks - (count - 1) / 2
