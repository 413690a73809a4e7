"""The same table in the formats of other libraries."""

import gzip
import os
from pathlib import Path

import numpy as np


def gensim_vectors(words: list[str], vectors: np.ndarray):
    """Returns gensim's KeyedVectors."""
    from gensim.models import KeyedVectors

    table = KeyedVectors(vectors.shape[1])
    table.add_vectors(words, vectors)
    table.fill_norms()
    return table


def product_quantized(words: list[str], vectors: np.ndarray):
    """Returns navec's table: product quantization, 16 groups of 256: 128 bits a row.

    Columns are padded with zeros to a multiple of 16; its centroids are parts of random rows,
    since neither size nor speed depends on their quality.
    """
    from navec.pq import PQ
    from navec.vocab import Vocab

    groups, centroids = 16, 256
    width = -(-vectors.shape[1] // groups) * groups
    parts = np.zeros((centroids, width), np.float32)
    parts[:, : vectors.shape[1]] = vectors[:centroids]
    codes = np.ascontiguousarray(parts.reshape(centroids, groups, -1).transpose(1, 0, 2))
    indexes = np.random.default_rng(0).integers(
        centroids, size=(len(words), groups), dtype=np.uint8
    )
    return Vocab(words, [1] * len(words)), PQ(len(words), width, groups, centroids, indexes, codes)


def product_quantized_bytes(vocabulary, quantizer) -> int:
    """Returns the size of navec's sections."""
    return len(vocabulary.as_bytes) + len(quantizer.as_bytes)


def additive_quantizer(table):
    """Returns faiss's quantizer with a table's codebook, and the codes that it decodes."""
    import faiss

    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    quantizer = faiss.LocalSearchQuantizer(table.dim, table.num_codebooks, table.packing.bits)
    faiss.copy_array_to_vector(table.codewords.ravel(), quantizer.codebooks)
    quantizer.is_trained = True
    return quantizer, np.array(table.packed)


def words_bytes(words: list[str]) -> int:
    """Returns the size of a word list compressed with gzip, which can only be read as a whole."""
    return len(gzip.compress("\n".join(words).encode()))


def directory_bytes(directory: Path) -> int:
    """Returns the size of all files."""
    return sum(path.stat().st_size for path in directory.iterdir())
