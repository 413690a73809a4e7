"""Opening a table that is to be compressed: whole, or by ranges of its rows if it is large."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.table_directory import refuse_part_of_table
from nncompress.errors import InputError
from nncompress.evaluate.curve_file import check_curve
from nncompress.formats.files import check_output
from nncompress.formats.work import WorkDirectory
from nncompress.job import open_work
from nncompress.jobs.large import is_large
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.sources.frequencies import Frequencies, table_frequencies
from nncompress.sources.open_rows import open_rows, reads_by_ranges
from nncompress.sources.row_source import RowSource
from nncompress.sources.tables import SourceTable, files_of, open_table
from nncompress.sources.token_weights import WEIGHTS, token_weights
from nncompress.sources.tokenizer import tokenizer_of_table
from nncompress.sources.weights import check_weights


def check_files(
    table: Mapping[str, Any],
    output: str | os.PathLike | None,
    plan: Plan,
    curve: str | os.PathLike | None,
    frequencies: object = None,
    pairs: Sequence[str | os.PathLike] = (),
) -> None:
    """Refuses files that cannot be written; the arguments are those of ``compress``.

    Raises:
        InputError: One is a directory, or an input.
        OutputError: Nothing can be written there.
    """
    inputs = [*files_of(table["source"]), table["words"], table.get("corpus"), frequencies, *pairs]
    if output is not None:
        check_output(output, inputs)
        refuse_part_of_table(output)
    check_curve(curve, plan.has_residual, inputs)


@contextmanager
def opened(
    table: Mapping[str, Any],
    plan: Plan,
    machine: Machine,
    output: str | os.PathLike | None,
    work: str | os.PathLike | None,
) -> Iterator[tuple[RowSource | None, SourceTable | None, WorkDirectory | None]]:
    """Opens a table by ranges of its rows, if it is large, or whole, if it is not.

    Yields:
        The rows of a large table, or None; another table, or None, and its work directory.
    """
    if isinstance(table["source"], CompressedEmbedding):
        raise InputError(
            f"{table['source']!r} is a compressed embedding already; wanted the original table, "
            "or its to_numpy() to compress it again"
        )
    unit_rows = plan.objective == "cosine"
    # What is read by ranges has no rows of n-grams to leave out, which open_table refuses.
    if reads_by_ranges(table["source"]) and not table.get("prune"):
        by_ranges = {name: table[name] for name in ("source", "words", "tensor", "limit")}
        with open_rows(**by_ranges, unit_rows=unit_rows) as rows:
            if is_large(rows.num_rows, rows.dim):
                yield rows, None, None
                return
    corpus = table.get("corpus")
    others = {
        "limit": table["limit"], "tensor": table["tensor"], "prune": table.get("prune", False),
        "corpus": None if corpus is None else os.fspath(corpus),
    }  # fmt: skip
    with (
        open_work(work, output, plan, machine, others) as kept,
        open_table(**table, unit_rows=unit_rows, work=kept, is_large=is_large) as small,
    ):
        if not is_large(*small.matrix.shape):
            yield None, small, kept
            return
        with open_rows(small.matrix, words=small.words, unit_rows=unit_rows) as rows:
            yield rows, None, kept
        if kept is not None:
            kept.finish()


def weigh_rows(
    table: Mapping[str, Any],
    small: SourceTable,
    weights: np.ndarray | None,
    weights_name: str,
    frequencies: str | os.PathLike | Mapping[str, float] | None,
) -> tuple[np.ndarray | None, Frequencies | None]:
    """Returns the weights of an open table's rows, and the frequencies that they are made of.

    Args:
        table: The arguments of ``open_table``.
        small: The table that they opened.
        weights: The weight of each row before ``limit``, ``(N,)``; None: all the same.
        weights_name: Their name in messages.
        frequencies: How often words occur, or the path of a file that says so.

    Returns:
        The weights, float64 ``(N,)`` of mean 1, or None: all the same; and the frequencies, or
        None where nothing tells them.

    Raises:
        InputError: Something given cannot be used, or no row is matched.
    """
    if weights is not None:
        weights = check_weights(weights, small.matrix, weights_name)
    corpus = table.get("corpus")
    if frequencies is None and corpus is None:
        return weights, None
    tokenizer = None
    if frequencies is None and small.subwords is None:
        tokenizer = tokenizer_of_table(table["source"], table["words"])
    found = table_frequencies(small, frequencies, corpus, tokenizer)
    return found.weights, found


def extras_of_tokens(table: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns what goes with a static model's rows in the file that its table becomes.

    Args:
        table: The arguments of ``open_table``.

    Raises:
        InputError: There is something that a file does not keep.
    """
    weights = token_weights(table["source"], table["tensor"])
    return {} if weights is None else {WEIGHTS: weights[: table["limit"]]}


def refuse_weights(rows: RowSource, *given: object) -> None:
    """Refuses weights, and what they are made of, for a large table.

    Raises:
        InputError: There are some.
    """
    if any(each is not None for each in given):
        raise InputError(
            f"weights or frequencies were given for {rows.num_rows:,} rows; a model for so many "
            "is learnt on a sample, where all count the same, so leave them out"
        )
