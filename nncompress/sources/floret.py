"""floret's tables: all rows are buckets, and any word is the mean of those of its n-grams.

They come as text, as ``save_floret_vectors`` writes it and ``spacy init vectors --mode floret``
reads it: a first line with the number of buckets, D, the fewest and the most characters of an
n-gram, the number of buckets of an n-gram, the seed, and the markers before and after a word; then
one line for each bucket, with its number and D numbers. Or as spaCy's ``Vectors`` in floret mode.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.npy import MOST_COLUMNS
from nncompress.sources.ngrams import FLORET, MOST_HASHES, Ngrams
from nncompress.sources.places import LocalPlace
from nncompress.sources.row_checks import as_array, check_shape
from nncompress.sources.stored.array import ArrayRows
from nncompress.sources.streams import locate, open_stream
from nncompress.sources.subword_rows import SubwordModel, SubwordRows, array_blocks
from nncompress.sources.text_vectors import is_number, parse_rows

_LONGEST_LINE = 256
_NUMBERS, _FIELDS = 6, 8


def floret_header(path: Path) -> tuple[Ngrams, int] | None:
    """Returns the n-grams that the first line of floret's text describes, and D; else None."""
    with open_stream(path) as stream:
        fields = stream.readline(_LONGEST_LINE).rstrip(b"\r\n").split(b" ")
    numbers = fields[:_NUMBERS]
    if len(fields) != _FIELDS or not all(f.isdigit() and len(f) <= 10 for f in numbers):
        return None
    if any(is_number(field) for field in fields[_NUMBERS:]):  # a row of 7 numbers
        return None
    buckets, dim, min_n, max_n, hash_count, seed = map(int, numbers)
    try:
        begin, end = (field.decode("utf-8") for field in fields[_NUMBERS:])
    except UnicodeDecodeError:
        return None
    ngrams = Ngrams(FLORET, min_n, max_n, buckets, hash_count, seed, begin, end)
    if not 0 < dim <= MOST_COLUMNS:
        raise InputError(f"{path}: the first line promises {dim} columns; wanted floret's vectors")
    _check(ngrams, str(path))
    return ngrams, dim


def read_floret(path: Path, ngrams: Ngrams, dim: int) -> SubwordModel:
    """Opens floret's text, which is read only when its rows are needed.

    Args:
        path: The text, compressed if its name ends in ``.gz``, ``.xz``, ``.bz2`` or ``.zip``.
        ngrams: The n-grams that its first line describes.
        dim: D.
    """
    return _model(
        str(path), ngrams, dim, partial(_blocks, path, ngrams.num_buckets, dim),
        [LocalPlace(locate(path)[0]).identity()],
    )  # fmt: skip


def wrap_floret(vectors: Any) -> SubwordModel:
    """Returns the table of spaCy's vectors.

    Args:
        vectors: ``spacy.vectors.Vectors`` in floret mode.

    Raises:
        InputError: They are on a GPU, or have settings that floret does not.
    """
    name = "the floret vectors"
    data = as_array(vectors.data, name)
    check_shape(name, data.shape, data.dtype)
    ngrams = Ngrams(
        FLORET, int(vectors.minn), int(vectors.maxn), len(data), int(vectors.hash_count),
        int(vectors.hash_seed), str(vectors.bow), str(vectors.eow),
    )  # fmt: skip
    _check(ngrams, name)
    files = ArrayRows(data, name).files()
    return _model(name, ngrams, data.shape[1], partial(array_blocks, data), files)


def is_floret(source: Any) -> bool:
    """Tells whether an object is spaCy's vectors in floret mode."""
    return getattr(source, "mode", None) == FLORET and hasattr(source, "hash_count")


def _model(name: str, ngrams: Ngrams, dim: int, read: Any, files: list) -> SubwordModel:
    rows = SubwordRows(ngrams, 0, None, True)
    return SubwordModel(name, rows, [], [], dim, lambda count: iter(()), read, files)


def _blocks(path: Path, num_buckets: int, dim: int) -> Iterator[np.ndarray]:
    count = 0
    with open_stream(path) as lines:
        for tokens, rows in parse_rows(path, lines, True, dim):
            for token in tokens:
                if token != b"%d" % count:
                    raise InputError(
                        f"{path}, line {count + 2}: bucket {token[:40].decode()!r}; wanted {count}"
                    )
                count += 1
            yield rows
    if count != num_buckets:
        raise InputError(
            f"{path}: the first line promises {num_buckets} buckets, but {count} follow; the file "
            "is cut short"
        )


def _check(ngrams: Ngrams, name: str) -> None:
    if not 1 <= ngrams.hash_count <= MOST_HASHES or not ngrams.num_buckets:
        raise InputError(
            f"{name}: {ngrams.num_buckets} buckets, {ngrams.hash_count} for each n-gram; wanted "
            f"at least one bucket, and 1 to {MOST_HASHES} for each n-gram"
        )
    if max(ngrams.min_n, ngrams.max_n) > 1 << 10 or ngrams.seed >= 1 << 32:
        raise InputError(
            f"{name}: n-grams of {ngrams.min_n} to {ngrams.max_n} characters and the seed "
            f"{ngrams.seed}; wanted floret's settings"
        )
