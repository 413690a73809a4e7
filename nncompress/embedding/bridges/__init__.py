"""Conversions to objects of other libraries; each module here needs its library."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nncompress.embedding.decoded_rows import DecodedRows
from nncompress.embedding.joining import as_one
from nncompress.embedding.keys import Key
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.sharded_table import Table
from nncompress.embedding.subwords import refuse_parts_of_words
from nncompress.errors import InputError
from nncompress.sources.ngrams import FASTTEXT
from nncompress.sources.subword_rows import SubwordRows

if TYPE_CHECKING:
    import chainer
    import faiss
    import gensim
    import torch

    from nncompress.embedding.compressed import CompressedEmbedding


class Compressed(Protocol):
    """The parts of a compressed embedding that bridges need."""

    table: Table
    subwords: SubwordRows | None

    @property
    def key_to_index(self) -> Mapping[Key, int]:
        """Each word's row; without words, each row's number."""

    @property
    def vectors(self) -> DecodedRows:
        """The rows, decoded on demand."""


def to_numpy(embedding: Compressed) -> np.ndarray:
    """Returns the whole table, decoded: float32 ``(N, D)``."""
    return np.asarray(embedding.vectors)


def to_gensim(embedding: Compressed) -> "gensim.models.KeyedVectors":
    """Returns gensim's KeyedVectors of the decoded rows that have a word.

    Where the table has rows of n-grams, as fastText hashes them, it returns FastTextKeyedVectors.
    gensim has no place for floret's n-grams or a classifier's labels: a warning says that they are
    left out.

    Raises:
        InputError: The table has only rows of floret's n-grams.
    """
    subwords = embedding.subwords
    if subwords is not None:
        _warn_of_rest(subwords)
        if subwords.ngrams.kind == FASTTEXT and subwords.ngrams.has_any:
            from nncompress.embedding.bridges import gensim_subwords

            return gensim_subwords.to_gensim(embedding.key_to_index, embedding.vectors, subwords)
    from nncompress.embedding.bridges.gensim_vectors import to_gensim

    return to_gensim(embedding.key_to_index, embedding.vectors)


def to_torch(embedding: "CompressedEmbedding", *, trainable: bool = False) -> "torch.nn.Module":
    """Returns a ``TableEmbedding``, a module to use instead of ``torch.nn.Embedding``.

    Args:
        embedding: The compressed embedding.
        trainable: Whether to train the codebook and the axes; codes and residuals never are.
    """
    from nncompress.embedding.bridges.torch_module import TableEmbedding

    return TableEmbedding.of(embedding, trainable=trainable)


def to_chainer(embedding: Compressed, *, trainable: bool = False) -> "chainer.Link":
    """Returns a link to use instead of ``chainer.links.EmbedID``.

    A residual stage is decoded on the CPU and has no gradient. A table of residuals alone has no
    trainable parameter.

    Args:
        embedding: The compressed embedding.
        trainable: Whether to train the codebook; codes and residuals never are.

    Raises:
        InputError: There is no codebook to train.
    """
    from nncompress.embedding.bridges.chainer_link import CompositionalEmbedID
    from nncompress.embedding.bridges.chainer_residual import ResidualEmbedID

    table = as_one(embedding.table)
    if isinstance(table, ResidualTable):
        if trainable and table.additive is None:
            raise InputError(
                "trainable=True for a table of residuals alone, which has no codebook to train; "
                "leave it out, or compress with -M and -K too"
            )
        return ResidualEmbedID.of(table, trainable)
    return CompositionalEmbedID.of(table, trainable)


def to_faiss(embedding: Compressed, metric: str = "inner_product") -> "faiss.Index":
    """Returns a faiss index over the same codes and codebook, with row numbers as ids.

    faiss has nothing like a residual stage: rows with one are decoded into a flat index of
    ``4*N*D`` bytes.

    Args:
        embedding: The compressed embedding.
        metric: ``"inner_product"`` or ``"l2"``.

    Raises:
        InputError: The metric is unknown, or no row is a word's vector, as in some classifiers.
    """
    refuse_parts_of_words(embedding.subwords)
    from nncompress.embedding.bridges.faiss_index import to_faiss

    return to_faiss(as_one(embedding.table), metric)


def _warn_of_rest(subwords: SubwordRows) -> None:
    """Warns about parts of a table that gensim's vectors have no place for."""
    if not subwords.num_words:
        raise InputError(
            "the table has no words, and gensim has no place for floret's n-grams; add words "
            "first, with: emb.add(words, emb[words])"
        )
    left_out = []
    if subwords.classifier is not None:
        left_out.append("the classifier's labels")
    if subwords.ngrams.kind != FASTTEXT:
        left_out.append("floret's n-grams")
    if left_out:
        warnings.warn(f"gensim has no place for {' and '.join(left_out)}; left out", stacklevel=3)
