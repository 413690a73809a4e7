"""The word mover's distance between two texts."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from nncompress.embedding.keyed_rows import KeyedRows, list_of_keys, units
from nncompress.embedding.keys import Key
from nncompress.missing import brought_by


def wmdistance(
    embedding: KeyedRows, document1: Iterable[Key], document2: Iterable[Key], norm: bool = True
) -> float:
    """Returns the word mover's distance between two texts (Kusner et al., 2015).

    It is the smallest total distance that the words of one text have to move to become those of
    the other. It needs POT, which the extra ``gensim`` brings.

    Args:
        embedding: The table.
        document1: The words of the first text; missing ones are left out, as in gensim.
        document2: The words of the second text, likewise.
        norm: Whether to divide vectors by their lengths first.

    Returns:
        The distance; infinity if the table has no word of a text.

    Raises:
        ImportError: POT is not installed.
    """
    with brought_by("gensim", "the word mover's distance"):
        from ot import emd2
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
