"""The word mover's distance between two texts."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from nncompress.embedding.keyed_rows import KeyedRows, list_of_keys, units
from nncompress.embedding.keys import Key


def wmdistance(
    embedding: KeyedRows, document1: Iterable[Key], document2: Iterable[Key], norm: bool = True
) -> float:
    """Returns the word mover's distance between two texts (Kusner et al., 2015).

    It is the least sum of distances that the words of one are moved to become the other's. It
    needs POT: ``pip install pot``.

    Args:
        embedding: The table.
        document1: The words of the one; missing ones are left out, as in gensim.
        document2: The words of the other; the same.
        norm: Whether vectors are divided by their lengths before.

    Returns:
        The distance; infinity where a text has no word that the table has.

    Raises:
        ImportError: POT is not installed.
    """
    try:
        from ot import emd2
    except ImportError:
        raise ImportError(
            "the word mover's distance needs POT; install it with: pip install pot"
        ) from None
    shares, vectors = [], []
    for document in (document1, document2):
        counts = Counter(word for word in list_of_keys(document) if word in embedding)
        if not counts:
            return float("inf")
        shares.append(np.array(list(counts.values())) / counts.total())
        rows = embedding[list(counts)]
        vectors.append((units(rows) if norm else rows).astype(np.float64))
    distances = [np.linalg.norm(vectors[1] - row, axis=1) for row in vectors[0]]
    return float(emd2(*shares, np.array(distances)))
