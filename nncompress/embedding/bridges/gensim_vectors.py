"""Decoding a table into gensim's KeyedVectors."""

from collections.abc import Mapping

import numpy as np

from nncompress.missing import brought_by

with brought_by("gensim"):
    from gensim.models import KeyedVectors

from nncompress.embedding.decoded_rows import DecodedRows
from nncompress.embedding.keys import Key


def to_gensim(key_to_index: Mapping[Key, int], vectors: DecodedRows) -> KeyedVectors:
    """Decodes a table into KeyedVectors, float32, in row order.

    Args:
        key_to_index: The row of each word, or of each row number where there are no words. Rows
            without a key are left out.
        vectors: The table's rows.
    """
    rows = np.array(list(key_to_index.values()), dtype=np.int64)
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors([str(key) for key in key_to_index], vectors[rows])
    return keyed
