"""Compressed embeddings."""

from contextlib import suppress

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from tests.reliability.fuzzing import Kind


def seeds(directory):
    random = np.random.default_rng(0)
    codebook = random.normal(size=(20, 6)).astype(np.float32)
    codes = random.integers(5, size=(60, 4))
    words = [f"wörd {i}" for i in range(60)]
    for name, tokens in (("words", words), ("rows", None)):
        CompressedEmbedding.from_codes(codes, codebook, tokens).save(directory / f"{name}.nnc")
    return [directory / "words.nnc", directory / "rows.nnc"]


def use(path):
    with suppress(InputError):  # the sums would refuse all that follows
        CompressedEmbedding.load(path, verify=True)
    with np.errstate(all="ignore"):  # numbers that are damaged are what the sums are for
        look_up(CompressedEmbedding.load(path))


def look_up(embedding):
    """Looks at all rows, and words up."""
    embedding.to_numpy()
    embedding[np.arange(min(3, len(embedding)))]
    if embedding.has_words:
        known = dict(embedding.key_to_index)
        for word in ["wörd 7", "no such word", *list(known)[:2]]:
            if word in embedding.key_to_index:
                embedding[word]
        if known:
            embedding.most_similar(next(iter(known)), 3)


KIND = Kind("nnc", seeds, use)
