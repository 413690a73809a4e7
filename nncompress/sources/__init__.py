"""Reading embedding matrices and vocabularies; nothing else reads a user's files."""

from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.vocabulary import read_vocabulary, write_vocabulary

__all__ = ["EmbeddingMatrix", "read_vocabulary", "write_vocabulary"]
