"""Sources with rows for words' n-grams: fastText models, floret's tables, gensim's vectors."""

import os
from functools import partial
from pathlib import Path
from typing import Any

from nncompress.errors import InputError
from nncompress.sources.fasttext_model import is_fasttext, read_fasttext
from nncompress.sources.floret import floret_header, is_floret, read_floret, wrap_floret
from nncompress.sources.ngrams import FASTTEXT, Ngrams
from nncompress.sources.places import is_url
from nncompress.sources.row_checks import as_array, check_shape
from nncompress.sources.stored.array import ArrayRows
from nncompress.sources.subword_rows import SubwordModel, SubwordRows, array_blocks


def subword_model(source: Any) -> SubwordModel | None:
    """Opens a table whose rows are words and n-grams; returns None for any other table.

    Args:
        source: A path of fastText's ``.bin`` or of floret's text, gensim's FastTextKeyedVectors,
            or spaCy's vectors in floret mode.

    Raises:
        InputError: The table is of this kind but cannot be used.
    """
    if isinstance(source, (str, os.PathLike)):
        return None if is_url(source) else _of_path(Path(source))
    if not is_subwords(source):
        return None
    return wrap_floret(source) if is_floret(source) else _of_gensim(source)


def is_subwords(source: Any) -> bool:
    """Tells whether an object in memory has rows for words' n-grams."""
    of_gensim = all(hasattr(source, name) for name in ("vectors_ngrams", "min_n", "max_n"))
    return is_floret(source) or (of_gensim and bool(getattr(source, "bucket", 0)))


def check_subword_settings(name: str, words: object, tensor: str | None, unit_rows: bool) -> None:
    """Refuses settings that do not apply to rows of words and n-grams.

    Args:
        name: The table's name in messages.
        words: The words that were given; None if none were.
        tensor: The name of a tensor that was given; None if none was.
        unit_rows: Whether rows are to be divided by their lengths.

    Raises:
        InputError: Such a setting was given.
    """
    if tensor is not None:
        raise InputError(f"{name} has no named tensors; leave the tensor's name out")
    if words is not None:
        raise InputError(
            f"words were given for {name}, whose n-grams belong to its own words; leave them out"
        )
    if unit_rows:
        raise InputError(
            f"the rows of {name} are added up for words without a row, so their lengths matter; "
            "leave the objective (--objective) at distance"
        )


def _of_path(path: Path) -> SubwordModel | None:
    if not path.is_file():
        return None
    if is_fasttext(path):
        return read_fasttext(path)
    header = floret_header(path)
    return None if header is None else read_floret(path, *header)


def _of_gensim(keyed: Any) -> SubwordModel:
    name = "the vectors"
    vectors, buckets = as_array(keyed.vectors, name), as_array(keyed.vectors_ngrams, "the n-grams")
    check_shape(name, vectors.shape, vectors.dtype)
    check_shape("the n-grams", (len(buckets), vectors.shape[1]), buckets.dtype)
    words: list[str | None] = list(keyed.index_to_key)
    ngrams = Ngrams(FASTTEXT, int(keyed.min_n), int(keyed.max_n), len(buckets))
    files = [*ArrayRows(vectors, name).files(), *ArrayRows(buckets, "the n-grams").files()]
    return SubwordModel(
        name, SubwordRows(ngrams, len(words), None, True),
        [str(word).encode("utf-8", "replace") for word in words], words, vectors.shape[1],
        partial(array_blocks, vectors), partial(array_blocks, buckets), files,
    )  # fmt: skip
