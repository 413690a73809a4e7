"""A compressed embedding as other libraries use it; each module here needs its library."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.decoded_rows import DecodedRows
from nncompress.embedding.keys import Key

if TYPE_CHECKING:
    import chainer
    import faiss
    import gensim
    import torch


class Compressed(Protocol):
    """A compressed embedding, as far as bridges need it."""

    table: CodeTable

    @property
    def key_to_index(self) -> Mapping[Key, int]:
        """Each word's row; without words, each row's number."""

    @property
    def vectors(self) -> DecodedRows:
        """The rows, decoded when they are asked for."""


def to_numpy(embedding: Compressed) -> np.ndarray:
    """Returns the whole table, decoded: float32 ``(N, D)``."""
    return np.asarray(embedding.vectors)


def to_gensim(embedding: Compressed) -> "gensim.models.KeyedVectors":
    """Returns gensim's KeyedVectors of the decoded rows that have a word."""
    from nncompress.embedding.bridges.gensim_vectors import to_gensim

    return to_gensim(embedding.key_to_index, embedding.vectors)


def to_torch(embedding: Compressed, *, trainable: bool = False) -> "torch.nn.Module":
    """Returns a module that stands in the place of ``torch.nn.Embedding``.

    Args:
        embedding: The compressed embedding.
        trainable: Whether the codebook is trained; codes never are.
    """
    from nncompress.embedding.bridges.torch_module import CompositionalEmbedding

    return CompositionalEmbedding.of(embedding.table, trainable)


def to_chainer(embedding: Compressed, *, trainable: bool = False) -> "chainer.Link":
    """Returns a link that stands in the place of ``chainer.links.EmbedID``.

    Args:
        embedding: The compressed embedding.
        trainable: Whether the codebook is trained; codes never are.
    """
    from nncompress.embedding.bridges.chainer_link import CompositionalEmbedID

    return CompositionalEmbedID.of(embedding.table, trainable)


def to_faiss(embedding: Compressed, metric: str = "inner_product") -> "faiss.Index":
    """Returns a faiss index over the same codes and codebook; rows have their numbers.

    Args:
        embedding: The compressed embedding.
        metric: ``"inner_product"`` or ``"l2"``.

    Raises:
        InputError: The metric is another.
    """
    from nncompress.embedding.bridges.faiss_index import to_faiss

    return to_faiss(embedding.table, metric)
