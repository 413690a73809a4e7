"""The words of rows, read by ranges: from lists, files with one word a line, and shards."""

import hashlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from nncompress.errors import InputError
from nncompress.sources.lines import (
    BYTE_ORDER_MARK,
    MOST_LINE_BYTES,
    decoded,
    too_long,
    without_mark,
)
from nncompress.sources.places import Place
from nncompress.sources.row_source import RowWords
from nncompress.sources.vocabulary import check_words

_CHUNK = 4 << 20
_STEP = 4_096  # lines between two whose positions are kept


class ListWords:
    """Words in memory.

    Args:
        words: The words; None for a row without one.
    """

    def __init__(self, words: Sequence[str | None]) -> None:
        self._words = words

    def __len__(self) -> int:
        return len(self._words)

    def identity(self) -> object:
        """Returns a digest of all words."""
        return hashlib.sha256(json.dumps(list(self._words)).encode()).hexdigest()

    def read(self, first: int, last: int) -> list[str | None]:
        """Returns the words of the rows ``first ... last-1``."""
        return list(self._words[first:last])


class LineWords:
    """Words in a file with one a line, as ``vocabulary.read_lines`` reads it.

    The file is scanned once, when first needed, and the position of every 4096th line is kept.

    Args:
        place: The file.
        origin: The file that the words were converted from; None where that is ``place``.

    Raises:
        InputError: There is no such file.
    """

    def __init__(self, place: Place, origin: Place | None = None) -> None:
        if not place.is_file():
            seen = "is a directory" if place.is_dir() else "does not exist"
            raise InputError(f"{place.name} {seen}; wanted a vocabulary, one token a line")
        self._place, self._origin = place, place if origin is None else origin
        self._lock = threading.Lock()
        self._places: np.ndarray | None = None
        self._count, self._end = 0, b"\n"

    def __len__(self) -> int:
        self._index()
        return self._count

    def identity(self) -> object:
        """Returns what identifies the file."""
        return self._origin.identity()

    def read(self, first: int, last: int) -> list[str | None]:
        """Returns the words of the rows ``first ... last-1``.

        Raises:
            InputError: A line is longer than 4 MiB or not UTF-8.
        """
        places = self._index()
        last = min(last, self._count)
        if first >= last:
            return []
        with self._place.open() as file:
            file.seek(int(places[first // _STEP]))
            for _ in range(first % _STEP):
                file.readline(MOST_LINE_BYTES + 1)
            words: list[str | None] = []
            for number, line in enumerate(islice(file, last - first), first + 1):
                word = line.removesuffix(self._end)
                words.append(decoded(word, self._place.name, number))
        if len(words) < last - first:
            raise InputError(
                f"{self._place.name} has {first + len(words)} lines, and had {self._count} before"
                "; wanted a file that stays as it is"
            )
        return words

    def _index(self) -> np.ndarray:
        """Returns the position of every 4096th line, scanning the file the first time."""
        with self._lock:
            if self._places is None:
                self._places = self._scan()
        return self._places

    def _scan(self) -> np.ndarray:
        name = self._place.name
        with self._place.open() as file:
            start = file.read(len(BYTE_ORDER_MARK) + 1)
            begin = len(start) - len(without_mark(start, name))
            file.seek(begin)
            offset = line_start = begin
            places, count, returns, last = [np.array([begin])], 0, 0, b""
            while chunk := file.read(_CHUNK):
                breaks = np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10) + offset
                following = np.concatenate([[line_start], breaks + 1])
                reached = offset + len(chunk)
                lengths = np.diff(np.append(following, reached))
                if (lengths > MOST_LINE_BYTES + 1).any():
                    raise too_long(name, count + int(np.argmax(lengths > MOST_LINE_BYTES + 1)) + 1)
                returns += (last + chunk).count(b"\r\n")
                # The line after line break number i of the file, from 0, has the number i + 1.
                first_kept = (-(count + 1)) % _STEP
                places.append(breaks[first_kept::_STEP] + 1)
                count += len(breaks)
                offset, line_start, last = reached, int(following[-1]), chunk[-1:]
        if offset - line_start > MOST_LINE_BYTES:  # without a line break at its end
            raise too_long(name, count + 1)
        self._count = count + (line_start < offset)
        if 0 < count == returns and last != b"\r":
            self._end = b"\r\n"
            warnings.warn(
                f"every line of {name} ends in a carriage return and a line feed, as on Windows; "
                "neither is taken as part of the words",
                stacklevel=2,
            )
        return np.concatenate(places)


class JoinedWords:
    """The words of shards.

    Args:
        words_of: Returns the words of a shard, given its number; None if it has none.
        sizes: The number of rows of each shard.
        names: The shards' names in messages.
    """

    def __init__(
        self,
        words_of: Callable[[int], RowWords | None],
        sizes: Sequence[int],
        names: Sequence[str],
    ) -> None:
        self._words_of, self._sizes, self._names = words_of, sizes, names

    def __len__(self) -> int:
        length = start = 0
        for size, count in zip(self._sizes, self._counts(), strict=True):
            length = start + count if count else length
            start += size
        return length

    def count(self, num_rows: int) -> int:
        """Returns how many of the first ``num_rows`` rows have words."""
        counted = start = 0
        for size, count in zip(self._sizes, self._counts(), strict=True):
            counted += min(count, max(0, num_rows - start))
            start += size
        return counted

    def identity(self) -> object:
        """Returns what identifies the words of each shard."""
        words = (self._words_of(index) for index in range(len(self._sizes)))
        return [None if each is None else each.identity() for each in words]

    def read(self, first: int, last: int) -> list[str | None]:
        """Returns the words of the rows ``first ... last-1``; None past a shard's last word."""
        found: list[str | None] = []
        start = 0
        for index, size in enumerate(self._sizes):
            low, high = max(first - start, 0), min(last - start, size)
            if low < high:
                words = self._words_of(index)
                read = [] if words is None else words.read(low, min(high, len(words)))
                found += [*read, *[None] * (high - low - len(read))]
            start += size
        return found

    def _counts(self) -> Iterator[int]:
        """Yields the number of words of each shard."""
        for index, (size, name) in enumerate(zip(self._sizes, self._names, strict=True)):
            words = self._words_of(index)
            count = 0 if words is None else len(words)
            if count > size:
                raise _too_many(name, size, count)
            yield count


class TableWords:
    """Words that go with the rows of a table, checked when they are first needed.

    Args:
        words: The words.
        name: The table's name in messages.
        total_rows: How many rows there are.
        num_rows: How many of them are used.
    """

    def __init__(self, words: RowWords, name: str, total_rows: int, num_rows: int) -> None:
        self._words, self._name = words, name
        self._total_rows, self._num_rows = total_rows, num_rows
        self._length: int | None = None

    def __len__(self) -> int:
        if self._length is None:
            words, count = self._words, len(self._words)
            check_count(count, self._name, self._total_rows)
            self._length = min(count, self._num_rows)
            if isinstance(words, JoinedWords):  # a shard before the last one may have none
                count = words.count(self._num_rows)
            _warn_of_wordless(count, self._name, self._num_rows)
        return self._length

    def identity(self) -> object:
        """Returns what identifies the words."""
        return self._words.identity()

    def read(self, first: int, last: int) -> list[str | None]:
        """Returns the words of the rows ``first ... last-1``; None past the last word.

        Raises:
            InputError: One cannot be kept as a word, or there are no words, or more than rows.
        """
        end = max(first, min(last, len(self)))
        words = self._words.read(first, end) if first < end else []
        check_words(words, first)
        return [*words, *[None] * (last - first - len(words))]


def check_count(count: int, name: str, total_rows: int) -> None:
    """Refuses a number of words that does not fit the rows of a table.

    Args:
        count: The number of words.
        name: The table's name in messages.
        total_rows: How many rows there are.

    Raises:
        InputError: There are no words, or more than rows.
    """
    if not count:
        raise InputError(
            f"there are no words for the {total_rows} rows of {name}; wanted a word for each row, "
            "or no file or list of words at all"
        )
    if count > total_rows:
        raise _too_many(name, total_rows, count)


def warn_of_wordless(words: Sequence[str | None], name: str, num_rows: int) -> None:
    """Warns if a list of words is shorter than the rows in use.

    Args:
        words: The words; None for a row without one.
        name: The table's name.
        num_rows: How many rows are used.
    """
    if len(words) < num_rows:
        _warn_of_wordless(sum(word is not None for word in words), name, num_rows)


def _warn_of_wordless(count: int, name: str, num_rows: int) -> None:
    if count < num_rows:
        have = "has a word" if count == 1 else "have words"
        warnings.warn(
            f"{count} of {num_rows} rows of {name} {have}; rows without one are reached by number",
            stacklevel=5,
        )


def _too_many(name: str, num_rows: int, count: int) -> InputError:
    return InputError(f"{name} has {num_rows} rows for {count} words; wanted a row for each word")
