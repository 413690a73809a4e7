#!/usr/bin/env python
"""Compress GloVe 6B 50d from beginning to end, and show what came of it (``make demo``)."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import infer_comp
import train_comp
from nncompress.cli import errors
from nncompress.embedding.codes import reconstruct
from nncompress.sources import EmbeddingMatrix, read_vocabulary
from nncompress.training.best_snapshots import best_snapshot

MATRIX = Path("data/glove.6B.50d.npy")
VOCABULARY = Path("data/glove.6B.50d.word")
RUNS = Path("result/demo")
WORDS = ("king", "paris", "computer", "blue", "guitar")


def finished_model() -> Path | None:
    """Returns the model of an earlier demo that was decoded, if there is one."""
    models = [path.with_suffix("") for path in RUNS.glob("*/iter_*.npz.codes")]
    models = [path for path in models if path.with_name(f"{path.name}.codebook.npy").exists()]
    return max(models, default=None)


def train_and_decode() -> Path:
    """Trains and decodes a model, and returns its snapshot."""
    directory = train_comp.main(
        ["--input-matrix", str(MATRIX), "--out", str(RUNS), "--dir-prefix", "glove.6B.50d"]
    )
    infer_comp.main(["--model", str(directory), "--vocab-path", str(VOCABULARY)])
    return best_snapshot(directory)


def read_codes(path: Path, num_rows: int) -> np.ndarray:
    """Reads the codes back from their text."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        numbers = " ".join(line.rpartition("\t")[2] for line in lines)
    return np.fromstring(numbers, dtype=np.int64, sep=" ").reshape(num_rows, -1)


def neighbours(vectors: np.ndarray, words: list[str], row: int) -> str:
    """Names the five nearest words by cosine similarity."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-(unit @ unit[row]), kind="stable")
    return ", ".join(words[index] for index in nearest[:6] if index != row)


def main() -> None:
    """Runs the demo."""
    model = finished_model()
    if model is None:
        model = train_and_decode()
    else:
        print(f"Using the model of an earlier demo; remove {RUNS} to train a new one.")
    matrix = EmbeddingMatrix.open(MATRIX)
    words = read_vocabulary(VOCABULARY)
    codes_path = model.with_name(f"{model.name}.codes")
    codebook_path = model.with_name(f"{model.name}.codebook.npy")
    before = matrix.take(np.arange(len(matrix)))
    after = reconstruct(read_codes(codes_path, len(matrix)), np.load(codebook_path))
    distance = np.linalg.norm(before - after, axis=1).mean(dtype=np.float64)

    print(f"\nMean Euclidean distance: {distance:.4f}")
    print("\nBytes")
    sizes = {"codes": codes_path.stat().st_size, "codebook": codebook_path.stat().st_size}
    print(f"  before: {MATRIX.stat().st_size:>12,}")
    for name, size in {**sizes, "total": sum(sizes.values())}.items():
        print(f"  after:  {size:>12,}  {name}")
    print("\nNearest neighbours")
    for word in WORDS:
        row = words.index(word)
        print(f"  {word}\n    before: {neighbours(before, words, row)}")
        print(f"    after:  {neighbours(after, words, row)}")
    print("\nFiles")
    for path in (model, codes_path, codebook_path, model.parent / "train.log"):
        print(f"  {path}")


if __name__ == "__main__":
    errors.run(main)
