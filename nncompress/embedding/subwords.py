"""Special rules for tables whose rows are words and buckets of n-grams."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from nncompress.embedding.joining import aligned_rows, part_of
from nncompress.embedding.keys import Key, Keys
from nncompress.embedding.sharded_table import ShardedTable, Table
from nncompress.embedding.subword_extras import NAMES, to_extras
from nncompress.errors import InputError
from nncompress.sources.subword_rows import SubwordRows


def searched_rows(table: Table, subwords: SubwordRows | None) -> tuple[Table, int]:
    """Returns the rows that may be among the nearest words: all but the buckets at the end.

    Args:
        table: All rows.
        subwords: Which rows belong to n-grams; None for no such rows.

    Returns:
        A table that holds them, and the number of its leading rows that they are.
    """
    num_rows = table.num_rows
    if subwords is None or isinstance(table, ShardedTable) or not subwords.num_words:
        return table, num_rows
    if num_rows > subwords.num_words + subwords.num_buckets:  # words were added
        return table, num_rows
    aligned = aligned_rows(table)
    last = -(-subwords.num_words // aligned) * aligned
    return part_of(table, 0, last) if last < num_rows else table, subwords.num_words


def rows_are_parts(subwords: SubwordRows | None) -> bool:
    """Tells whether a word's vector is the mean of its own row and those of its n-grams."""
    return subwords is not None and not subwords.composed and subwords.ngrams.has_any


def refuse_parts_of_words(subwords: SubwordRows | None) -> None:
    """Refuses a table in which no row is a word's vector, for uses that take rows for words.

    Raises:
        InputError: A word's vector is the mean of its own row and those of its n-grams.
    """
    if rows_are_parts(subwords):
        raise InputError(
            "in this classifier a word's vector is the mean of several rows, so no row is a "
            "word's vector; use emb[words] and emb.similarity, which compute the mean"
        )


def check_growth(subwords: SubwordRows | None, extras: Mapping[str, np.ndarray]) -> None:
    """Refuses to add rows to a table whose extras have no place for them.

    Raises:
        InputError: There is no place for them.
    """
    _refuse_others(extras)
    if subwords is not None and subwords.classifier is not None:
        raise InputError("rows cannot be added to a classifier; use it unchanged")


def chosen_keys(
    keys: Keys,
    wanted: Iterable[Key],
    subwords: SubwordRows | None,
    extras: Mapping[str, np.ndarray],
) -> tuple[Iterable[Key], dict[str, np.ndarray]]:
    """Returns the keys of a smaller table, and the meaning and extras of its rows.

    Args:
        keys: The keys of the table's rows.
        wanted: Words, or row numbers.
        subwords: Which rows belong to n-grams; None for no such rows.
        extras: Arrays that go with all rows.

    Raises:
        InputError: The extras cannot go with only some of the rows, a row of n-grams is wanted,
            or none of the keys is in the table.
    """
    _refuse_others(extras)
    if subwords is None:
        return wanted, {}
    if subwords.classifier is not None:
        raise InputError("a classifier needs all of its rows; use it unchanged")
    present = [key for key in dict.fromkeys(wanted) if keys.row(key) is not None]
    if not present:
        raise InputError("none of the keys is in the table; wanted at least one that is")
    buckets = range(subwords.num_words, subwords.num_words + subwords.num_buckets)
    for row in keys.rows(present):
        if row in buckets:
            raise InputError(f"row {row} belongs to n-grams, which all stay; wanted rows of words")
    return [*present, *buckets], to_extras(replace(subwords, num_words=len(present)))


def _refuse_others(extras: Mapping[str, np.ndarray]) -> None:
    others = sorted(extras.keys() - NAMES)
    if others:
        raise InputError(
            f"the table has {', '.join(others)} beside its rows, which cannot go with other rows; "
            "use the table unchanged"
        )
