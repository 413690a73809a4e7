"""The two tables on which sizes and lookups are measured, M=32 and K=16."""

import sys
import tempfile
from pathlib import Path

import numpy as np

from nncompress import CompressedEmbedding, compress
from nncompress.sources import read_vocabulary

GLOVE = Path("data/glove.6B.50d.npy")
M, K = 32, 16
ROWS, DIM = 400_000, 300


def glove() -> CompressedEmbedding:
    """Returns GloVe 6B 50d, compressed quickly, since its quality does not matter here."""
    print("Compressing GloVe 50d ...", file=sys.stderr)
    return compress(
        GLOVE, num_codebooks=M, num_codewords=K, epochs=2, time_budget=5.0, report=None
    )


def random_codes() -> CompressedEmbedding:
    """Returns a table of 400,000 x 300 with random codes and GloVe's words."""
    random = np.random.default_rng(0)
    codes = random.integers(K, size=(ROWS, M))
    codebook = (random.normal(size=(M * K, DIM)) / 6).astype(np.float16)
    return CompressedEmbedding.from_codes(
        codes, codebook, read_vocabulary(GLOVE.with_suffix(".word"))
    )


def saved(embedding: CompressedEmbedding, name: str) -> tuple[CompressedEmbedding, Path]:
    """Writes a table to a temporary directory, and opens it there."""
    path = Path(tempfile.gettempdir()) / "nncompress-benchmarks" / name
    embedding.save(path)
    return CompressedEmbedding.load(path), path


TABLES = {"GloVe 50d": glove, "random codes 300d": random_codes}
