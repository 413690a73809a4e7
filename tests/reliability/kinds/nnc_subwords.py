"""Compressed embeddings of words and n-grams, and of labels."""

import contextlib
import warnings
from pathlib import Path

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.subword_extras import to_extras
from nncompress.sources.ngrams import FASTTEXT, Ngrams
from nncompress.sources.subword_rows import Classifier, SubwordRows
from tests.reliability.fuzzing import Kind

_WORDS = ["</s>", "walk", "größe"]


def seeds(folder: Path) -> list[Path]:
    """Writes a table some of whose buckets have rows, and a classifier's."""
    random = np.random.default_rng(0)
    ngrams = Ngrams(FASTTEXT, 2, 4, 60)
    output = random.normal(size=(3, 4)).astype(np.float32)
    classifier = Classifier("hs", 2, ["a", "b", "c"], np.array([5, 3, 1]), output)
    several = {
        "words": SubwordRows(ngrams, 3, np.flatnonzero(random.random(60) < 0.5), True),
        "labels": SubwordRows(ngrams, 3, None, False, classifier),
    }
    for name, rows in several.items():
        count = 3 + rows.num_buckets
        codes = random.integers(8, size=(count, 4))
        table = CompressedEmbedding.from_codes(codes, random.normal(size=(32, 4)), _WORDS).table
        whole = CompressedEmbedding.of_table(table, _WORDS, extras=to_extras(rows))
        whole.save(folder / f"{name}.nnc")
    return [folder / f"{name}.nnc" for name in several]


def use(path: Path) -> None:
    """Looks up words with and without a row, and the labels of a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        embedding = CompressedEmbedding.load(path)
        for word in ("walk", "walked", "größer", ""):
            if word in embedding:
                embedding[word]
        subwords = embedding.subwords
        if subwords is not None and subwords.classifier is not None:
            embedding.predict("walk größer", k=-1)
        else:
            with contextlib.suppress(KeyError):
                embedding.most_similar("walked")


KIND = Kind("nnc_subwords", seeds, use)
