#!/usr/bin/env python
"""Compress GloVe 6B 50d from beginning to end, and show the result (``make demo``)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nncompress.cli import signals

if __name__ == "__main__":
    signals.at_once()

import numpy as np

from nncompress import CompressedEmbedding, compress
from nncompress.cli import errors
from nncompress.evaluate.distortion import measure
from nncompress.sources import EmbeddingMatrix, read_vocabulary

MATRIX = Path("data/glove.6B.50d.npy")
VOCABULARY = Path("data/glove.6B.50d.word")
FILE = Path("result/demo/glove.6B.50d.nnc")
WORDS = ("king", "paris", "computer", "blue", "guitar")


def neighbours(vectors: np.ndarray, words: list[str], row: int) -> str:
    """Names the five nearest words by cosine similarity."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-(unit @ unit[row]), kind="stable")
    return ", ".join(words[index] for index in nearest[:6] if index != row)


def main() -> None:
    """Runs the demo."""
    if FILE.exists():
        print(f"Using the file of an earlier demo; remove {FILE} to make a new one.")
        embedding = CompressedEmbedding.load(FILE)
    else:
        embedding = compress(MATRIX, FILE)  # the words are in the file beside the matrix
    matrix = EmbeddingMatrix.open(MATRIX)
    words = read_vocabulary(VOCABULARY)
    before = matrix.take(np.arange(len(matrix)))

    (distortion,) = measure(matrix, [embedding.table])
    print(f"\nMean Euclidean distance: {distortion.distance:.4f}")
    print(f"Mean cosine:             {distortion.cosine:.4f}")
    sizes = {"before, vectors and words": MATRIX.stat().st_size + VOCABULARY.stat().st_size}
    sizes["after, all in one file"] = FILE.stat().st_size
    print("\nBytes")
    for name, size in sizes.items():
        print(f"  {name:<26}{size:>12,}")
    print("\nNearest neighbours")
    for word in WORDS:
        after = ", ".join(near for near, _ in embedding.most_similar(word, topn=5))
        print(f"  {word}\n    before: {neighbours(before, words, words.index(word))}")
        print(f"    after:  {after}")
    print(f"\nFile\n  {FILE}")


if __name__ == "__main__":
    errors.run(main)
