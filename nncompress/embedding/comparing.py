"""Comparing keys with each other and with all rows, with gensim's names and results.

A row of zeros has cosine 0 with everything, where gensim has NaN.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from nncompress.embedding.decoded_rows import DecodedRows
from nncompress.embedding.keyed_rows import KeyedRows, list_of_keys, units
from nncompress.embedding.keys import SINGLE_KEYS, Key
from nncompress.embedding.mean_vectors import get_mean_vector
from nncompress.embedding.sketch import inverse_lengths
from nncompress.errors import InputError

_KEYS_AT_ONCE = 1_024


def similar_by_key(
    embedding: KeyedRows,
    key: Key,
    topn: int | None = 10,
    restrict_vocab: int | None = None,
    *,
    probe: int | None = None,
    rows: Sequence[int] | np.ndarray | None = None,
) -> list[tuple[Key, float]] | np.ndarray:
    """Finds the words nearest to a key; see ``most_similar``."""
    return embedding.most_similar(
        [key], None, topn, restrict_vocab=restrict_vocab, probe=probe, rows=rows
    )


def similar_by_vector(
    embedding: KeyedRows,
    vector: np.ndarray,
    topn: int | None = 10,
    restrict_vocab: int | None = None,
    *,
    probe: int | None = None,
    rows: Sequence[int] | np.ndarray | None = None,
) -> list[tuple[Key, float]] | np.ndarray:
    """Finds the words nearest to a vector ``(D,)``; see ``most_similar``."""
    return embedding.most_similar(
        [np.asarray(vector)], None, topn, restrict_vocab=restrict_vocab, probe=probe, rows=rows
    )


def most_similar_to_given(embedding: KeyedRows, key1: Key, keys_list: Sequence[Key]) -> Key:
    """Returns the key in a list that is nearest to another key; the first of equal ones.

    Raises:
        KeyError: A key is missing.
        InputError: The list is empty.
    """
    keys = list_of_keys(keys_list)
    if not keys:
        raise InputError("no keys were given to choose from; wanted at least one")
    vectors = units(embedding[[key1, *keys]])
    return keys[int(np.argmax(vectors[1:] @ vectors[0]))]


def distances(
    embedding: KeyedRows, word_or_vector: Key | np.ndarray, other_words: Iterable[Key] | None = ()
) -> np.ndarray:
    """Returns 1 minus the cosines between a key or a vector and other keys, or all rows.

    Args:
        embedding: The table.
        word_or_vector: The key, or the vector ``(D,)``.
        other_words: n keys. If empty or None, all N rows, or those of all words in a table with
            rows of n-grams.

    Returns:
        float32 ``(n,)`` or ``(N,)``; float64 for a vector of float64 or integers.

    Raises:
        KeyError: A key is missing.
        InputError: The vector is not of D finite numbers.
    """
    others = [] if other_words is None else list_of_keys(other_words)
    dtype = np.dtype(np.float32)
    if not isinstance(word_or_vector, SINGLE_KEYS):
        word_or_vector = np.asarray(word_or_vector)
        dtype = np.result_type(dtype, word_or_vector)
    query = get_mean_vector(embedding, [word_or_vector], None, True, True, False)
    if others:
        blocks = (others[i : i + _KEYS_AT_ONCE] for i in range(0, len(others), _KEYS_AT_ONCE))
        cosines = np.concatenate([units(embedding[block]) @ query for block in blocks])
    else:
        cosines = np.asarray(similar_by_vector(embedding, query, None))
    return 1 - cosines.astype(dtype, copy=False)


def closer_than(embedding: KeyedRows, key1: Key, key2: Key) -> list[Key]:
    """Returns the words nearer to one key than another key is, in row order.

    Raises:
        KeyError: A key is missing, or stands for a row of n-grams.
    """
    first, second = embedding.get_index(key1), embedding.get_index(key2)
    from_first = distances(embedding, key1)
    if second >= len(from_first):
        raise KeyError(f"row {second} belongs to n-grams; wanted a word")
    rows = np.flatnonzero(from_first < from_first[second]).tolist()
    names = embedding.index_to_key
    keys = [names[row] for row in rows if row != first]
    return [key for key in keys if isinstance(key, str)] if embedding.has_words else keys


def rank(embedding: KeyedRows, key1: Key, key2: Key) -> int:
    """Returns the rank of a second key among all words by distance from a first key.

    Raises:
        KeyError: A key is missing, or stands for a row of n-grams.
    """
    return len(closer_than(embedding, key1, key2)) + 1


def relative_cosine_similarity(embedding: KeyedRows, wa: Key, wb: Key, topn: int = 10) -> float:
    """Returns the cosine of two keys, relative to the first one's cosines with its nearest keys.

    It is divided by the sum of those cosines: Leeuwenberg et al., "A Minimally Supervised Approach
    for Synonym Extraction with Word Embeddings", 2016, equation 1.

    Args:
        embedding: The table.
        wa: The first key.
        wb: The second key.
        topn: The number of nearest keys.

    Raises:
        KeyError: A key is missing.
        InputError: There are no nearest keys to divide by, or their cosines add up to 0.
    """
    if not isinstance(topn, (int, np.integer)) or topn < 1:
        raise InputError(f"topn is {topn!r}; wanted at least 1")
    nearest = similar_by_key(embedding, wa, topn)
    if not len(nearest):
        raise InputError(f"there is no other key to compare {wa!r} with; wanted at least two")
    total = sum(cosine for _, cosine in nearest)
    if not total:
        raise InputError(f"the cosines of {wa!r} and its nearest keys add up to 0")
    return embedding.similarity(wa, wb) / total


def cosine_similarities(vector_1: np.ndarray, vectors_all: np.ndarray | DecodedRows) -> np.ndarray:
    """Returns the cosines between a vector and others, ``(n,)``, in the arrays' dtype.

    Args:
        vector_1: The vector, ``(D,)``.
        vectors_all: The others, ``(n, D)``; ``emb.vectors`` are decoded block by block.
    """
    vector = np.asarray(vector_1)
    if isinstance(vectors_all, DecodedRows):
        return np.concatenate([_cosines(vector, rows) for rows in vectors_all.blocks()])
    return _cosines(vector, np.asarray(vectors_all))


def _cosines(vector: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    products = np.einsum("nd,d->n", vectors, vector, dtype=np.float64)
    cosines = products * inverse_lengths(vectors) * inverse_lengths(vector[None])
    dtype = np.result_type(vectors, vector)
    return cosines.astype(dtype if dtype.kind == "f" else np.float64)
