"""Means of keys' vectors, and comparisons with them, with gensim's names and results."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from nncompress.embedding.keyed_rows import KeyedRows, list_of_keys, units
from nncompress.embedding.keys import Key
from nncompress.embedding.similarity import checked, unit
from nncompress.errors import InputError

_KEYS_AT_ONCE = 1_024


def get_mean_vector(
    embedding: KeyedRows,
    keys: Sequence[Key | np.ndarray],
    weights: Sequence[float] | np.ndarray | None = None,
    pre_normalize: bool = True,
    post_normalize: bool = False,
    ignore_missing: bool = True,
) -> np.ndarray:
    """Returns the weighted mean of keys' vectors and given vectors, ``(D,)``.

    Args:
        embedding: The table.
        keys: Keys, and vectors ``(D,)``.
        weights: A weight for each; None for equal weights. The sum is divided by the sum of their
            absolute values.
        pre_normalize: Whether to divide the vectors of keys by their lengths first.
        post_normalize: Whether to divide the mean by its length.
        ignore_missing: Whether to leave out missing keys; if all are missing, the mean is zeros.

    Returns:
        float32; or float64 if ``weights`` is an array of a dtype other than float32 or float16 and
        the mean is not normalized.

    Raises:
        InputError: There are no keys, or the weights or vectors have the wrong shape or type.
        KeyError: A key is missing, and ``ignore_missing`` is False.
    """
    keys = list_of_keys(keys)
    if not keys:
        raise InputError("no keys were given to take the mean of; wanted at least one")
    factors = _factors(weights, len(keys))
    dim = embedding.table.dim
    total, missing = np.zeros(dim), []
    sum_of_weights = 0.0
    of_keys: list[int] = []
    for place, key in enumerate(keys):
        if isinstance(key, np.ndarray):
            total += factors[place] * checked(key, dim)
            sum_of_weights += abs(float(factors[place]))
        elif key in embedding:
            of_keys.append(place)
        else:
            missing.append(key)
    if missing and not ignore_missing:
        embedding[missing]  # raises a KeyError that names them
    for first in range(0, len(of_keys), _KEYS_AT_ONCE):
        places = of_keys[first : first + _KEYS_AT_ONCE]
        vectors = embedding[[keys[place] for place in places]]
        total += factors[places] @ (units(vectors) if pre_normalize else vectors)
        sum_of_weights += float(np.abs(factors[places], dtype=np.float64).sum())
    if sum_of_weights > 0:
        total /= sum_of_weights
    if post_normalize:
        return unit(total).astype(np.float32)
    return total.astype(np.result_type(np.float32, factors.dtype))


def _factors(weights: Sequence[float] | np.ndarray | None, count: int) -> np.ndarray:
    """Checks weights and returns them as an array, ``(n,)``."""
    if weights is None:
        return np.ones(count, np.float32)
    factors = weights if isinstance(weights, np.ndarray) else np.array(weights, np.float32)
    if factors.shape != (count,) or factors.dtype.kind not in "iuf":
        raise InputError(
            f"weights of type {factors.dtype} and shape {factors.shape} for {count} keys; wanted "
            "one number for each"
        )
    if not np.isfinite(factors).all():
        raise InputError("a weight is not finite")
    return factors


def n_similarity(embedding: KeyedRows, ws1: Sequence[Key], ws2: Sequence[Key]) -> np.float32:
    """Returns the cosine between the means of two lists of keys' vectors.

    Missing keys are left out; if all of a list are missing, the cosine is 0.

    Raises:
        InputError: A list is empty.
    """
    one, other = (get_mean_vector(embedding, keys, None, False, True) for keys in (ws1, ws2))
    return np.float32(one @ other)


def rank_by_centrality(
    embedding: KeyedRows, words: Iterable[Key], use_norm: bool = True
) -> list[tuple[np.float32, Key]]:
    """Ranks keys by their vectors' products with the normalized mean of all of them.

    Args:
        embedding: The table.
        words: The keys; missing ones are left out, with a warning.
        use_norm: Whether to divide the vectors by their lengths first, so that products are
            cosines.

    Returns:
        Pairs of product and key, the largest first.

    Raises:
        InputError: All of the keys are missing.
    """
    return _ranked(embedding, words, use_norm)


def doesnt_match(embedding: KeyedRows, words: Iterable[Key]) -> Key:
    """Returns the key with the smallest cosine with the mean of all; see ``rank_by_centrality``.

    Raises:
        InputError: None of the words is in the table.
    """
    return _ranked(embedding, words, True)[-1][1]


def _ranked(
    embedding: KeyedRows, words: Iterable[Key], use_norm: bool
) -> list[tuple[np.float32, Key]]:
    words = list_of_keys(words)
    known = [word for word in words if word in embedding]
    if not known:
        raise InputError(f"none of {words!r} is in the table; wanted at least one that is")
    if len(known) < len(words):
        missing = [word for word in words if word not in embedding]
        warnings.warn(f"{missing!r} are not in the table and are left out", stacklevel=3)
    vectors = embedding[known]
    if use_norm:
        vectors = units(vectors)
    products = vectors @ unit(vectors.mean(axis=0, dtype=np.float64)).astype(np.float32)
    ranked = zip(products, known, strict=True)
    return sorted(ranked, key=lambda one: (one[0], str(one[1])), reverse=True)
