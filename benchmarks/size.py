#!/usr/bin/env python
"""Measure the total bytes per word.

Needs `pip install ".[bench]"` and `python scripts/fetch_vectors.py glove.6B.50d`. Tables have
400,000 words; M=32 and K=16 here, and 128 bits per row in the other methods that quantize. Data
shared by a whole table (codebook, centroids) is counted separately.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.machine import describe
from benchmarks.tables import TABLES, saved
from nncompress.embedding.nnc_file import read_nnc


def main() -> None:
    """Prints a table for each of the two, and one of ways to store words."""
    print(f"{describe()}\n")
    for name, make in TABLES.items():
        embedding, path = saved(make(), "size.nnc")
        words = list(embedding)
        print(f"{name}, {len(words):,} words\n")
        print("| | bytes a word | shared bytes |\n| --- | --- | --- |")
        for label, each, shared in [*ours(embedding, path), *others(embedding, words)]:
            print(f"| {label} | {each / len(words):.2f} | {shared:,} |", flush=True)
        print()
    vocabularies(words)


def ours(embedding, path: Path):
    """Yields the file and its parts."""
    table = embedding.table
    shared = table.codebook.nbytes
    yield "**.nnc, the whole file**", path.stat().st_size - shared, shared
    sections = read_nnc(path).vocabulary.sections
    order = sections["rows"].nbytes
    words = sum(array.nbytes for array in sections.values()) - order
    yield "its codes", table.packed.nbytes, 0
    yield "its words", words, 0
    yield "its order of rows", order, 0
    yield "its header", path.stat().st_size - shared - table.packed.nbytes - words - order, 0


def others(embedding, words: list[str]):
    """Yields names and sizes of other libraries' files."""
    vectors = embedding.to_numpy()
    with tempfile.TemporaryDirectory() as scratch:
        gensim = peers.gensim_vectors(words, vectors)
        gensim.save_word2vec_format(str(Path(scratch) / "x.bin"), binary=True)
        yield "gensim, word2vec binary", peers.directory_bytes(Path(scratch)), 0
    with tempfile.TemporaryDirectory() as scratch:
        gensim.save(str(Path(scratch) / "x.kv"))
        yield "gensim, KeyedVectors.save", peers.directory_bytes(Path(scratch)), 0
    vocabulary, quantizer = peers.product_quantized(words, vectors)
    size = peers.product_quantized_bytes(vocabulary, quantizer)
    yield "navec, 16 x 256", size - quantizer.codes.nbytes, quantizer.codes.nbytes
    texts = peers.words_bytes(words)
    yield (
        "faiss index of the same codes, words as gzip",
        embedding.table.packed.nbytes + texts,
        (4 * embedding.table.codewords.size),
    )
    yield "float16, words as gzip", vectors.astype(np.float16).nbytes + texts, 0


def vocabularies(words: list[str]) -> None:
    """Compares ways to store words that can be looked up without unpacking."""
    import marisa_trie

    from nncompress.embedding.vocabulary import Vocabulary

    asked = [words[i] for i in np.random.default_rng(0).integers(len(words), size=20_000)]
    vocabulary = Vocabulary.of_words(words, len(words))
    sections = vocabulary.sections
    blocks = sum(array.nbytes for name, array in sections.items() if name != "rows")
    trie = marisa_trie.Trie(words)
    print("Only words, without the order of rows\n")
    print("| | bytes a word | microseconds to find one |\n| --- | --- | --- |")
    for name, size, find in [
        ("front-coded blocks and a symbol table (.nnc)", blocks, vocabulary.find),
        ("marisa-trie", len(trie.tobytes()), trie.__getitem__),
    ]:
        find(words[0])
        started = time.perf_counter()
        for word in asked:
            find(word)
        each = (time.perf_counter() - started) / len(asked)
        print(f"| {name} | {size / len(words):.2f} | {each * 1e6:.1f} |")


if __name__ == "__main__":
    main()
