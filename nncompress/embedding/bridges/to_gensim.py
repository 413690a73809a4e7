"""gensim's KeyedVectors of a decoded table."""

from typing import TYPE_CHECKING

from gensim.models import KeyedVectors

if TYPE_CHECKING:
    from nncompress.embedding.compressed import CompressedEmbedding


def to_gensim(embedding: "CompressedEmbedding") -> KeyedVectors:
    """Decodes a table into KeyedVectors, float32 ``(N, D)``, rows in their order."""
    vectors = KeyedVectors(embedding.vector_size)
    keys = [str(key) for key in embedding.index_to_key]
    vectors.add_vectors(keys, embedding.to_numpy())
    return vectors
