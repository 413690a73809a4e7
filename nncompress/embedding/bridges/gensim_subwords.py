"""Decoding a table of words and n-grams into gensim's FastTextKeyedVectors."""

from collections.abc import Mapping

import numpy as np

from nncompress.missing import brought_by

with brought_by("gensim"):
    from gensim.models.fasttext import FastTextKeyedVectors

from nncompress.embedding.decoded_rows import DecodedRows
from nncompress.embedding.keys import Key
from nncompress.sources.subword_rows import SubwordRows


def to_gensim(
    key_to_index: Mapping[Key, int], vectors: DecodedRows, subwords: SubwordRows
) -> FastTextKeyedVectors:
    """Decodes a table into FastTextKeyedVectors, float32, which gensim can save and load.

    On loading, gensim computes a word's vector from the word's own row and the rows of its
    n-grams; own rows are chosen so that this gives the vectors of the table.

    Args:
        key_to_index: The row of each word.
        vectors: The table's rows.
        subwords: The meaning of its rows, with fastText's n-grams. Buckets without a row become
            zeros.
    """
    ngrams = subwords.ngrams
    keyed = FastTextKeyedVectors(vectors.shape[1], ngrams.min_n, ngrams.max_n, ngrams.num_buckets)
    first, count = subwords.num_words, subwords.num_buckets
    buckets = slice(None) if subwords.kept is None else subwords.kept
    keyed.vectors_ngrams = np.zeros((ngrams.num_buckets, vectors.shape[1]), np.float32)
    keyed.vectors_ngrams[buckets] = vectors[first : first + count]
    keyed.index_to_key = [str(key) for key in key_to_index]
    keyed.key_to_index = {word: row for row, word in enumerate(keyed.index_to_key)}
    keyed.vectors = vectors[np.array(list(key_to_index.values()), dtype=np.int64)]
    keyed.vectors_vocab = keyed.vectors.copy()
    keyed.recalc_char_ngram_buckets()
    if not subwords.composed:
        keyed.adjust_vectors()
        return keyed
    for row, own in zip(keyed.vectors_vocab, keyed.buckets_word, strict=True):
        row *= len(own) + 1
        row -= keyed.vectors_ngrams[own].sum(axis=0)
    return keyed
