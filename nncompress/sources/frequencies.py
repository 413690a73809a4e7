"""Frequencies of the words of a table's rows, from a file of counts or counted in a text."""

import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.sources.corpus import count_tokens
from nncompress.sources.lines import decoded, shown
from nncompress.sources.row_tally import RowTally
from nncompress.sources.streams import open_stream
from nncompress.sources.tables import SourceTable

# A row's weight is its frequency to this power; docs/algorithms.md has the measurements.
POWER = 0.5
# If a smaller share of the counts belongs to rows, a warning says so: the text is mostly of
# another kind.
_LITTLE = 0.5
_WANTED = "wanted a word and its count on each line, with a tab or a space between them"


@dataclass(frozen=True)
class Frequencies:
    """The frequencies of the words of a table's rows.

    Attributes:
        counts: For each row, its count plus the smallest count above 0, scaled so that the largest
            is 1; float64 ``(N,)``. For numbers of occurrences that is add-one smoothing, and it
            is right for shares too. A row without a count has the smallest count alone.
        matched: The number of rows that have a count above 0.
        known: The share of everything counted that belongs to words that use these rows.
        name: The source of the counts, for messages.
    """

    counts: np.ndarray
    matched: int
    known: float
    name: str

    @classmethod
    def of_counts(cls, found: np.ndarray, known: float, total: float, name: str) -> "Frequencies":
        """Returns the frequencies of rows, given their counts.

        If most of what was counted has no row, a warning says so.

        Args:
            found: The count of each row, float64 ``(N,)``; 0 for a row without one.
            known: The sum of the counts of everything that uses a row.
            total: The sum of all counts.
            name: The source of the counts, for messages.

        Raises:
            InputError: No row has a count above 0.
        """
        matched = int(np.count_nonzero(found))
        if not matched:
            raise InputError(
                f"{name} has no count above 0 for any word of the table; wanted its words, "
                "spelled as in the table"
            )
        share = known / total
        if share < _LITTLE:
            warnings.warn(
                f"only {share:.1%} of what {name} counts are words of the table, and the rest is "
                "not used; wanted words that are split and spelled as in the table (punctuation, "
                "capitals)",
                stacklevel=3,
            )
        counts = found + found[found > 0].min()
        return cls(counts / counts.max(), matched, share, name)

    @cached_property
    def shares(self) -> np.ndarray:
        """The probability of each row, float64 ``(N,)``; their sum is 1."""
        return self.counts / self.counts.sum()

    @cached_property
    def weights(self) -> np.ndarray:
        """The weight of each row, its frequency to the power ``POWER``, of mean 1."""
        weights = self.counts**POWER
        return weights / weights.mean()

    def __str__(self) -> str:
        rows = len(self.counts)
        return (
            f"Frequencies of {self.name}: {self.matched:,} of {rows:,} rows matched, with "
            f"{self.known:.1%} of everything counted"
        )


def has_frequencies(frequencies: object, corpus: object, prune: bool = False) -> bool:
    """Tells whether frequencies were given, or a text to count them in.

    Args:
        frequencies: Frequencies or their file; None if none were given.
        corpus: The text; None if none was given.
        prune: Whether the text has another use as well.

    Raises:
        InputError: Both were given, and the text has no other use.
    """
    if frequencies is not None and corpus is not None and not prune:
        raise InputError(
            "frequencies (--frequencies) and a text to count them in (--corpus) were both given; "
            "wanted only one of them"
        )
    return frequencies is not None or corpus is not None


def table_frequencies(
    table: SourceTable,
    frequencies: str | os.PathLike | Mapping[str, float] | None,
    corpus: str | os.PathLike | None,
    tokenizer: Any = None,
) -> Frequencies:
    """Returns how often a table's rows are used.

    Args:
        table: The table. Where several rows have the same word, the first gets its count;
            ``RowTally`` says how rows of n-grams are counted.
        frequencies: The path of a file that ``read_frequencies`` reads, or counts by word; None:
            words are counted in a text.
        corpus: The path of that text, compressed if its name ends in ``.gz``, ``.xz`` or ``.zip``.
        tokenizer: A ``tokenizers.Tokenizer`` to split the text with, whose token numbers are those
            of the rows; None: words are separated by white space.

    Raises:
        InputError: A file cannot be read, a count is not a number of 0 or more, or no row is used.
    """
    num_rows = len(table.matrix)
    if frequencies is None and tokenizer is not None and corpus is not None:
        counts, total = count_tokens(corpus, tokenizer, num_rows)
        return Frequencies.of_counts(counts, counts.sum(), total, str(corpus))
    tally = RowTally(table.words or (), num_rows, table.subwords)
    if not tally.has_words:
        raise InputError(
            "the table has no words to match frequencies with; give its words (--words), or a "
            "number for each row (--weights)"
        )
    if corpus is not None and frequencies is None:
        name = str(corpus)
        tally.add_text(corpus)
    elif isinstance(frequencies, Mapping):
        name = "the mapping of frequencies"
        tally.add(_scaled(_checked(frequencies, name)))
    elif frequencies is not None:
        name = str(frequencies)
        tally.add(_scaled(read_frequencies(frequencies)))
    return Frequencies.of_counts(tally.counts, tally.known, tally.total, name)


def _scaled(counts: dict[str, float]) -> dict[bytes, float]:
    """Returns counts by word in UTF-8, scaled to a largest of 1, as their sum could overflow."""
    largest = max(counts.values(), default=0.0) or 1.0
    return {
        word.encode("utf-8", "surrogatepass"): count / largest for word, count in counts.items()
    }


def read_frequencies(path: str | os.PathLike) -> dict[str, float]:
    """Reads words and counts: text in UTF-8, with a word and its count on each line.

    They are separated by the last tab, or by the last white space in a line without tabs, as words
    may contain spaces. Counts are numbers of 0 or more, whole or not. Empty lines are skipped.

    Args:
        path: The file, compressed if its name ends in ``.gz``, ``.xz`` or ``.zip``.

    Returns:
        The counts by word.

    Raises:
        InputError: The file is missing or damaged, or a line (numbered from 1) is not of this form
            or repeats a word.
    """
    path = Path(path)
    counts: dict[str, float] = {}
    with open_stream(path, "words and their counts") as lines:
        for number, line in enumerate(lines, 1):
            text = decoded(line.rstrip(b"\r\n"), path, number)
            if not text.strip():
                continue
            word, count = _parsed(text, f"{path}, line {number}")
            if word in counts:
                raise InputError(
                    f"{path}, line {number}: {shown(word)} is repeated; wanted one count "
                    "for each word"
                )
            counts[word] = count
    if not counts:
        raise InputError(f"{path} is empty; {_WANTED}")
    return counts


def _parsed(text: str, where: str) -> tuple[str, float]:
    word, separator, number = text.rpartition("\t")
    if not separator:
        fields = text.rsplit(None, 1)
        word, number = fields if len(fields) == 2 else ("", text)
    if not word:
        raise InputError(f"{where}: {shown(text)}; {_WANTED}")
    try:
        count = float(number)
    except ValueError:
        raise InputError(
            f"{where}: the count {shown(number)} is not a number; {_WANTED}"
        ) from None
    if not _is_count(count):
        raise InputError(f"{where}: the count is {number.strip()[:40]}; wanted 0 or more")
    return word, count


def _is_count(count: float) -> bool:
    return math.isfinite(count) and count >= 0


def _checked(counts: Mapping[str, float], name: str) -> dict[str, float]:
    checked = {}
    for word, count in counts.items():
        try:
            number = float(count)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not isinstance(word, str) or not _is_count(number):
            raise InputError(
                f"{name} has {count!r:.40} for {word!r:.60}; wanted strings, and numbers of 0 or "
                "more"
            )
        checked[word] = number
    return checked
