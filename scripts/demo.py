#!/usr/bin/env python
"""Compress GloVe 6B 50d from beginning to end, and show what came of it (``make demo``)."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import infer_comp
import train_comp
from nncompress import CompressedEmbedding
from nncompress.cli import errors
from nncompress.evaluate.distortion import measure
from nncompress.runs.best_snapshots import best_snapshot
from nncompress.sources import EmbeddingMatrix, read_vocabulary

MATRIX = Path("data/glove.6B.50d.npy")
VOCABULARY = Path("data/glove.6B.50d.word")
RUNS = Path("result/demo")
WORDS = ("king", "paris", "computer", "blue", "guitar")


def finished_model() -> Path | None:
    """Returns the compressed embedding of an earlier demo, if there is one."""
    return max(RUNS.glob("*/iter_*.npz.nnc"), default=None)


def train_and_decode() -> Path:
    """Trains and decodes a model, and returns the compressed embedding."""
    directory = train_comp.main(
        ["--input-matrix", str(MATRIX), "--out", str(RUNS), "--dir-prefix", "glove.6B.50d"]
    )
    infer_comp.main(["--model", str(directory), "--vocab-path", str(VOCABULARY)])
    snapshot = best_snapshot(directory)
    return snapshot.with_name(f"{snapshot.name}.nnc")


def neighbours(vectors: np.ndarray, words: list[str], row: int) -> str:
    """Names the five nearest words by cosine similarity."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-(unit @ unit[row]), kind="stable")
    return ", ".join(words[index] for index in nearest[:6] if index != row)


def main() -> None:
    """Runs the demo."""
    path = finished_model()
    if path is None:
        path = train_and_decode()
    else:
        print(f"Using the model of an earlier demo; remove {RUNS} to train a new one.")
    matrix = EmbeddingMatrix.open(MATRIX)
    words = read_vocabulary(VOCABULARY)
    embedding = CompressedEmbedding.load(path)
    before = matrix.take(np.arange(len(matrix)))

    (distortion,) = measure(matrix, [embedding.table])
    print(f"\nMean Euclidean distance: {distortion.distance:.4f}")
    print(f"Mean cosine:             {distortion.cosine:.4f}")
    sizes = {"before, vectors and words": MATRIX.stat().st_size + VOCABULARY.stat().st_size}
    sizes["after, all in one file"] = path.stat().st_size
    print("\nBytes")
    for name, size in sizes.items():
        print(f"  {name:<26}{size:>12,}")
    print("\nNearest neighbours")
    for word in WORDS:
        after = ", ".join(near for near, _ in embedding.most_similar(word, topn=5))
        print(f"  {word}\n    before: {neighbours(before, words, words.index(word))}")
        print(f"    after:  {after}")
    print(f"\nFiles\n  {path}\n  {path.parent}/train.log")


if __name__ == "__main__":
    errors.run(main)
