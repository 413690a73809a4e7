"""Opening a table for compression: whole, or by ranges of its rows if it is large."""

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
        InputError: A file is a directory or an input.
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
    """Opens a large table by ranges of its rows, and a smaller one whole.

    Yields:
        The rows of a large table, or None; the whole of a smaller one, or None; and the work
        directory, or None.
    """
    if isinstance(table["source"], CompressedEmbedding):
        raise InputError(
            f"{table['source']!r} is already a compressed embedding; wanted the original table, "
            "or its to_numpy() to compress it again"
        )
    unit_rows = plan.objective == "cosine"
    # Tables read by ranges have no rows of n-grams to prune; open_table refuses that.
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
    """Returns the weights of an open table's rows, and the frequencies they come from.

    Args:
        table: The arguments of ``open_table``.
        small: The table opened with them.
        weights: The weight of each row before ``limit``, ``(N,)``; None for equal weights.
        weights_name: Their name in messages.
        frequencies: The frequencies of words, or the path of a file with them.

    Returns:
        The weights, float64 ``(N,)`` of mean 1, or None for equal weights; and the frequencies, or
        None if there are none.

    Raises:
        InputError: An argument cannot be used, or no row is matched.
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
    """Returns the arrays that go with a static model's rows in its compressed file.

    Args:
        table: The arguments of ``open_table``.

    Raises:
        InputError: The model has something that a file cannot hold.
    """
    weights = token_weights(table["source"], table["tensor"])
    return {} if weights is None else {WEIGHTS: weights[: table["limit"]]}


def refuse_weights(rows: RowSource, *given: object) -> None:
    """Refuses weights and frequencies for a large table.

    Raises:
        InputError: Some were given.
    """
    if any(each is not None for each in given):
        raise InputError(
            f"weights or frequencies were given for {rows.num_rows:,} rows; a model for so many "
            "is learnt on a sample with equal weights, so leave them out"
        )
