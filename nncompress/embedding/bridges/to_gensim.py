"""gensim's KeyedVectors of a decoded table."""

from typing import TYPE_CHECKING

import numpy as np
from gensim.models import KeyedVectors

if TYPE_CHECKING:
    from nncompress.embedding.compressed import CompressedEmbedding


def to_gensim(embedding: "CompressedEmbedding") -> KeyedVectors:
    """Decodes a table into KeyedVectors, float32, rows in their order.

    Rows without a word are left out; in a table without any, rows have their numbers.
    """
    vectors = KeyedVectors(embedding.vector_size)
    rows = np.array(list(embedding.key_to_index.values()), dtype=np.int64)
    vectors.add_vectors([str(key) for key in embedding], embedding.vectors(rows))
    return vectors
