"""Codes in text, with their codebook and words beside them in a folder."""

import warnings
from pathlib import Path

import numpy as np

from nncompress.embedding.codes import write_codebook, write_codes
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.sources import write_vocabulary
from tests.reliability.fuzzing import Kind
from tests.reliability.using import WORDS


def seeds(folder: Path) -> list[Path]:
    """Writes a folder of codes with tokens, and one of codes alone with a word list."""
    random = np.random.default_rng(7)
    paths = [folder / "tokens", folder / "alone"]
    for path in paths:
        path.mkdir()
        codes = random.integers(0, 16, size=(len(WORDS), 4))
        write_codes(path / "x.codes", codes, WORDS if path.name == "tokens" else None)
        write_codebook(path / "x.codebook.npy", random.normal(size=(64, 3)))
    write_vocabulary(paths[1] / "x.word", WORDS)
    return paths


def use(path: Path) -> object:
    """Makes a compressed embedding of them, and looks at all of it."""
    words = path / "x.word"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        embedding = CompressedEmbedding.from_files(
            path / "x.codes", path / "x.codebook.npy", words if words.exists() else None
        )
    assert dict(embedding.key_to_index) == dict(embedding.key_to_index.items())
    return embedding.to_numpy()


KIND = Kind("codes_text", seeds, use)
