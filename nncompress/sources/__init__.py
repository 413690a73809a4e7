"""Reading embedding matrices and vocabularies: the only room that reads a user's files."""

from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.vocabulary import read_vocabulary, write_vocabulary

__all__ = ["EmbeddingMatrix", "read_vocabulary", "write_vocabulary"]
