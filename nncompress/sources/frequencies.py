"""How often the words of a table's rows occur: from a file of counts, or counted in a text."""

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

# A row's weight is its frequency to this power; docs/algorithms.md has what was measured.
POWER = 0.5
# Where less of what was counted has a row, a warning says so: most often it is of another kind.
_LITTLE = 0.5
_WANTED = "wanted a word and its count on each line, with a tab or a space between them"


@dataclass(frozen=True)
class Frequencies:
    """How often the words of a table's rows occur.

    Attributes:
        counts: Of each row, float64 ``(N,)``, all above 0 and the largest 1: its count and the
            smallest one above 0, which is add-one smoothing for numbers of occurrences, and right
            for shares too. Rows without a count have that smallest one alone.
        matched: The number of rows that have a count above 0.
        known: The share of all that was counted that these rows are used by.
        name: Where the counts are from.
    """

    counts: np.ndarray
    matched: int
    known: float
    name: str

    @classmethod
    def of_counts(cls, found: np.ndarray, known: float, total: float, name: str) -> "Frequencies":
        """Returns the frequencies of rows by what was counted.

        A warning tells where most of what was counted is of no row.

        Args:
            found: The count of each row, float64 ``(N,)``; 0 where there is none.
            known: The sum of the counts of what rows are used by.
            total: The sum of all counts.
            name: Where the counts are from.

        Raises:
            InputError: No row has a count above 0.
        """
        matched = int(np.count_nonzero(found))
        if not matched:
            raise InputError(
                f"{name} has no count above 0 for a word of the table; wanted its words, written "
                "as the table has them"
            )
        share = known / total
        if share < _LITTLE:
            warnings.warn(
                f"{share:.1%} of what {name} counts are words of the table, and the rest is of no "
                "use; wanted words that are cut and written as the table's are (punctuation, "
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
            f"Frequencies of {self.name}: {self.matched:,} of {rows:,} rows matched, which have "
            f"{self.known:.1%} of all that it counts"
        )


def has_frequencies(frequencies: object, corpus: object, prune: bool = False) -> bool:
    """Tells whether frequencies were given, or a text to count them in.

    Args:
        frequencies: Frequencies or their file; None for none.
        corpus: The text; None for none.
        prune: Whether the text has another use too.

    Raises:
        InputError: Both were given, and the text has no other use.
    """
    if frequencies is not None and corpus is not None and not prune:
        raise InputError(
            "frequencies (--frequencies) and a text to count them in (--corpus) were given; "
            "wanted one of them"
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
        table: The table, whose words are those that count; of rows with the same word the first
            has it. What rows of n-grams are used by is told in ``RowTally``.
        frequencies: The path of a file that ``read_frequencies`` reads, or counts by word; None:
            words are counted in a text.
        corpus: The path of that text, compressed if its name ends in ``.gz``, ``.xz`` or ``.zip``.
        tokenizer: A ``tokenizers.Tokenizer``, of whose tokens the text is made and whose numbers
            are the rows'; None: words are what white space parts.

    Raises:
        InputError: A file cannot be read, a count is no number of 0 or more, or no row is used.
    """
    num_rows = len(table.matrix)
    if frequencies is None and tokenizer is not None and corpus is not None:
        counts, total = count_tokens(corpus, tokenizer, num_rows)
        return Frequencies.of_counts(counts, counts.sum(), total, str(corpus))
    tally = RowTally(table.words or (), num_rows, table.subwords)
    if not tally.has_words:
        raise InputError(
            "the table has no words to be matched by frequencies; give its words (--words), or a "
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
    """Returns counts by words in UTF-8, the largest 1: a sum of them could overflow."""
    largest = max(counts.values(), default=0.0) or 1.0
    return {
        word.encode("utf-8", "surrogatepass"): count / largest for word, count in counts.items()
    }


def read_frequencies(path: str | os.PathLike) -> dict[str, float]:
    """Reads words and counts: text in UTF-8, a word and its count a line.

    What parts them is the last tab, or the last white space in a line without one: words may hold
    spaces. Counts are numbers of 0 or more, whole or not. Empty lines are passed over.

    Args:
        path: The file, compressed if its name ends in ``.gz``, ``.xz`` or ``.zip``.

    Returns:
        The counts by word.

    Raises:
        InputError: The file is missing or damaged, or a line, which the message numbers from 1,
            is none of these, or has a word that an earlier one has.
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
                    f"{path}, line {number}: {shown(word)} is there already; wanted one count "
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
        raise InputError(f"{where}: the count {shown(number)} is no number; {_WANTED}") from None
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
