"""fastText's files, written byte by byte as fastText 0.9 writes them."""

import struct

import numpy as np
import pytest

MAGIC = 793712314
HS, NS, SOFTMAX, OVA = 1, 2, 3, 4
SKIPGRAM, SUPERVISED = 2, 3


def model_bytes(
    words, matrix, output, *, labels=(), counts=None, min_n=2, max_n=4, loss=NS, word_ngrams=1,
    version=12, magic=MAGIC, pruned=-1, quantized=False, floret=None, model=None, sizes=None,
):  # fmt: skip
    """Returns a model; words and labels are bytes, and floret is a number of hashes."""
    dim = matrix.shape[1]
    bucket = len(matrix) - len(words)
    model = model or (SUPERVISED if labels else SKIPGRAM)
    numbers = [dim, 5, 5, 1, 5, word_ngrams, loss, model, bucket, min_n, max_n]
    numbers += [] if floret is None else [2, floret]
    parts = [struct.pack("<2i", magic, version), struct.pack(f"<{len(numbers)}i", *numbers)]
    parts.append(struct.pack("<id", 100, 1e-4))
    entries = [*words, *labels]
    sizes = sizes or (len(entries), len(words), len(labels))
    parts.append(struct.pack("<3i2q", *sizes, 1000, pruned))
    counts = counts or range(len(entries), 0, -1)
    for number, (entry, count) in enumerate(zip(entries, counts, strict=True)):
        parts.append(entry + b"\0" + struct.pack("<qb", count, number >= len(words)))
    parts += [struct.pack("<2i", i, i) for i in range(max(0, pruned))]
    for array in (matrix, output):
        parts.append(struct.pack("<?2q", quantized, *array.shape))
        parts.append(np.asarray(array, "<f4").tobytes())
    return b"".join(parts)


WORDS = (b"</s>", b"the", "größe".encode(), "日本".encode())


def small_model(words=WORDS, buckets=30, dim=5, **options):
    """Returns a model of few words, and its input matrix."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(len(words) + buckets, dim)).astype(np.float32)
    rows = len(options.get("labels", ())) or len(words)
    output = random.normal(size=(rows, dim)).astype(np.float32)
    return model_bytes(words, matrix, output, **options), matrix, output


def trained(folder, *, supervised=False, module="fasttext", **options):
    """Returns a model that fastText itself, or floret, has trained on a small text."""
    library = pytest.importorskip(module)
    random = np.random.default_rng(0)
    letters = list("abcdeißø日")
    words = ["".join(random.choice(letters, size=random.integers(2, 9))) for _ in range(60)]
    lines = [" ".join(random.choice(words, size=8)) for _ in range(200)]
    if supervised:
        lines = [f"__label__{len(set(line)) % 3} {line}" for line in lines]
    path = folder / "train.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    train = library.train_supervised if supervised else library.train_unsupervised
    # Each thread sets a tenth of the matrix, rounded down; the rest is whatever was in memory.
    settings = {"dim": 20, "epoch": 1, "thread": 10, "bucket": 500, "minCount": 1, "verbose": 0}
    return train(str(path), **settings | options)
