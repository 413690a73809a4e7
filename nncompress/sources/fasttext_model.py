"""fastText's own ``.bin`` files, read without fastText; and floret's, which are nearly the same.

Source: ``Args::load``, ``Dictionary::load`` and ``FastText::loadModel`` of fastText 0.9, and of
floret 0.10, whose arguments have two more numbers. In order: a magic number and the version, the
arguments, the dictionary's entries, the buckets that quantization has left, then two matrices,
each as a flag that says whether it is quantized, its shape and its numbers: the input rows (words,
then buckets) and the output rows (of labels, or of words). All numbers are little-endian.
"""

import mmap
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from nncompress.errors import FormatError, InputError
from nncompress.formats.npy import MOST_COLUMNS, open_file
from nncompress.sources.ngrams import FASTTEXT, FLORET, MOST_HASHES, Ngrams
from nncompress.sources.places import LocalPlace
from nncompress.sources.subword_rows import (
    Classifier,
    SubwordModel,
    SubwordRows,
    array_blocks,
    composed_blocks,
    odd_count,
)
from nncompress.sources.vocabulary import MOST_WORD_BYTES

MAGIC = (793_712_314).to_bytes(4, "little")
_OLDER, _VERSION = 11, 12
_SUPERVISED = 3
_LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
_ENTRY_BYTES = 10  # those of an empty word: its end, its count and its type
_FASTTEXT_MODE, _FLORET_MODE = 1, 2
_FLORET_OWN = 1  # of floret's words, only the first keeps a row of its own
_MOST, _MOST_NGRAM = 1 << 31, 1 << 10  # buckets, and characters
_WANTED = "wanted a complete fastText model (.bin)"


def is_fasttext(path: Path) -> bool:
    """Tells, by its first bytes, whether a file is a fastText model."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_fasttext(path: Path) -> SubwordModel:
    """Opens a model and maps its matrices.

    Args:
        path: The ``.bin`` file.

    Raises:
        InputError: There is no such file, or it is quantized (``.ftz``) or of an unsupported kind.
        FormatError: The file is something else, cut short, or of another version.
    """
    with open_file(path, "a fastText model") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file cannot be mapped
            raise FormatError(f"{path} is empty; {_WANTED}") from None
    try:
        return _model(path, _Reader(data))
    except _Damaged as error:
        raise FormatError(f"{path} {error}; {_WANTED}") from None


class _Damaged(Exception):
    """A damaged file; the text says what is wrong and follows the file's name in messages."""


@dataclass(frozen=True)
class _Arguments:
    """The training arguments that are needed here.

    Attributes:
        dim: D.
        word_ngrams: The most words of a word n-gram.
        loss: The number that stands for the loss.
        is_supervised: Whether it has labels.
        bucket: The number of buckets.
        ngrams: The n-grams of words, and the hash that gives their buckets.
    """

    dim: int
    word_ngrams: int
    loss: int
    is_supervised: bool
    bucket: int
    ngrams: Ngrams

    @classmethod
    def of(cls, numbers: tuple, version: int, is_floret: bool) -> "_Arguments":
        """Checks arguments in the order in which they are stored."""
        dim, _, _, _, _, word_ngrams, loss, model, bucket, min_n, max_n = numbers[:11]
        mode, hash_count = numbers[11:13] if is_floret else (_FASTTEXT_MODE, 1)
        names = ("dim", "loss", "model", "bucket", "minn", "maxn", "mode", "hashCount")
        values = (dim, loss, model, bucket, min_n, max_n, mode, hash_count)
        bounds = (
            (1, MOST_COLUMNS), (1, 4), (1, 3), (0, _MOST), (0, _MOST_NGRAM), (0, _MOST_NGRAM),
            (_FASTTEXT_MODE, _FLORET_MODE), (1, MOST_HASHES),
        )  # fmt: skip
        for name, value, (least, most) in zip(names, values, bounds, strict=True):
            if not least <= value <= most:
                raise _Damaged(
                    f"has the argument {name} {value}, where {least} to {most} is expected"
                )
        is_supervised = model == _SUPERVISED
        # Supervised models of the older version have no character n-grams.
        max_n = 0 if is_supervised and version == _OLDER else max_n
        kind = FLORET if mode == _FLORET_MODE else FASTTEXT
        ngrams = Ngrams(kind, min_n, max_n, bucket, hash_count)
        if max_n >= max(1, min_n) and not bucket:
            raise _Damaged(f"has n-grams of {min_n} to {max_n} characters, but no bucket")
        return cls(dim, word_ngrams, loss, is_supervised, bucket, ngrams)


@dataclass(frozen=True)
class _Sizes:
    """The numbers of words and labels."""

    words: int
    labels: int


class _Reader:
    """Reads a mapped file from its beginning, and never beyond its end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.place = data, 0

    @property
    def left(self) -> int:
        """The number of bytes that are left."""
        return len(self.data) - self.place

    def numbers(self, form: str, what: str) -> tuple:
        """Takes little-endian numbers, given their ``struct`` format."""
        size = struct.calcsize("<" + form)
        self.skip(size, what)
        return struct.unpack_from("<" + form, self.data, self.place - size)

    def skip(self, count: int, what: str) -> None:
        """Skips bytes."""
        if self.left < count:
            raise _Damaged(f"ends at byte {len(self.data):,}, in {what}")
        self.place += count

    def flag(self, what: str) -> bool:
        """Takes a truth value."""
        (value,) = self.numbers("B", what)
        if value > 1:
            raise _Damaged(f"has {value} where 0 or 1 says whether {what} is quantized")
        return bool(value)

    def matrix(self, what: str, num_rows: int, dim: int) -> np.ndarray:
        """Takes a matrix and maps it."""
        shape = self.numbers("qq", f"the shape of {what}")
        if shape != (num_rows, dim):
            raise _Damaged(f"has {what} of shape {shape}, where {(num_rows, dim)} is expected")
        size = 4 * num_rows * dim
        if self.left < size:
            raise _Damaged(
                f"ends at byte {len(self.data):,}, but {what} reaches to {self.place + size:,}"
            )
        self.place += size
        array = np.frombuffer(self.data, "<f4", num_rows * dim, self.place - size)
        return array.reshape(num_rows, dim)


def _model(path: Path, reader: _Reader) -> SubwordModel:
    arguments, sizes, pruned = _head(reader)
    encoded, counts = _entries(reader, sizes)
    reader.skip(8 * max(0, pruned), "the buckets that are left")
    if reader.flag("the input"):
        raise InputError(
            f"{path} is a quantized fastText model (.ftz), which is already compressed; wanted "
            "the .bin file that it was made from"
        )
    if pruned >= 0:
        raise _Damaged("has a pruned dictionary but is not quantized, which fastText refuses too")
    num_words, dim, ngrams = sizes.words, arguments.dim, arguments.ngrams
    matrix = reader.matrix("the input", num_words + arguments.bucket, dim)
    reader.flag("the output")
    output = reader.matrix("the output", sizes.labels or num_words, dim)
    words = encoded[:num_words]
    rows = SubwordRows(ngrams, num_words, None, not arguments.is_supervised)
    if arguments.is_supervised:
        if ngrams.kind == FLORET:
            raise InputError(
                f"{path} is a supervised model in floret mode; wanted one in fastText mode"
            )
        labels = _readable(encoded[num_words:], path)
        classifier = Classifier(
            _LOSSES[arguments.loss], arguments.word_ngrams, labels, counts[num_words:],
            output.astype(np.float32),
        )  # fmt: skip
        if (bad := odd_count(classifier.counts)) is not None:
            raise _Damaged(f"has a label with the impossible count {bad:,}")
        if not np.isfinite(classifier.output).all():
            raise _Damaged("has a number in its output matrix that is not finite")
        rows = replace(rows, classifier=classifier)

    def read_words(count: int) -> Iterator[np.ndarray]:
        if arguments.is_supervised:
            return array_blocks(matrix, count)
        own = num_words if ngrams.kind == FASTTEXT else _FLORET_OWN
        return composed_blocks(matrix, num_words, own, words[:count], ngrams)

    return SubwordModel(
        str(path), rows, words, [*_readable(words, path)], dim,
        read_words, partial(array_blocks, matrix[num_words:]), [LocalPlace(path).identity()],
    )  # fmt: skip


def _head(reader: _Reader) -> tuple[_Arguments, _Sizes, int]:
    """Takes everything before the entries.

    Returns:
        The arguments, the sizes of the dictionary, and the number of buckets that pruning has
        left; negative without pruning.
    """
    start = reader.data[:8]
    if start[:4] != MAGIC:
        raise _Damaged(f"begins with {start!r}, as no fastText model does")
    version = int.from_bytes(start[4:], "little")
    if version not in (_OLDER, _VERSION):
        raise _Damaged(f"is of version {version}, where 11 or 12 is expected")
    for is_floret in (False, True):
        reader.place = 8
        numbers = reader.numbers("12i" + "2i" * is_floret + "d", "its arguments")
        size, words, labels, _, pruned = reader.numbers("3i2q", "the sizes of its dictionary")
        # floret's files begin in the same way, but have two more numbers.
        if size == words + labels and size > 0:
            arguments = _Arguments.of(numbers, version, is_floret)
            if arguments.is_supervised != (labels > 0) or min(words, labels) < 0:
                raise _Damaged(f"has {words:,} words and {labels:,} labels")
            return arguments, _Sizes(words, labels), pruned
    raise _Damaged("has a dictionary whose words and labels do not add up")


def _entries(reader: _Reader, sizes: _Sizes) -> tuple[list[bytes], np.ndarray]:
    """Takes the dictionary's entries: the bytes of words and labels, and their counts."""
    size = sizes.words + sizes.labels
    if size * _ENTRY_BYTES > reader.left:
        raise _Damaged(f"has {reader.left:,} bytes for {size:,} words")
    data, encoded, counts = reader.data, [], np.empty(size, np.int64)
    for number in range(size):
        end = data.find(b"\0", reader.place, reader.place + MOST_WORD_BYTES + 1)
        if end < 0:
            raise _Damaged(f"has no end of word {number + 1:,} of {size:,}")
        encoded.append(data[reader.place : end])
        reader.place = end + 1
        counts[number], is_label = reader.numbers("qb", f"word {number + 1:,} of {size:,}")
        if is_label != (number >= sizes.words):
            raise _Damaged(f"has words and labels out of order, at entry {number + 1:,}")
    return encoded, counts


def _readable(encoded: Sequence[bytes], path: Path) -> list[str]:
    r"""Returns words as text, with ``\xNN`` for bytes that are not UTF-8, as in gensim."""
    words, odd = [], 0
    for word in encoded:
        try:
            words.append(word.decode("utf-8"))
        except UnicodeDecodeError:
            words.append(word.decode("utf-8", "backslashreplace"))
            odd += 1
    if odd:
        words_are = f"1 word of {path} is" if odd == 1 else f"{odd:,} words of {path} are"
        warnings.warn(
            f"{words_are} not valid UTF-8; invalid bytes are written as \\xNN",
            stacklevel=2,
        )
    return words
