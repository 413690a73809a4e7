"""The one road: open a table, learn, code and refine its rows, make the embedding, save it.

Each step is a function on values in memory. ``compress`` runs all of them; the command line and
``EmbeddingCompressor`` run them one by one, and add files.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import OutputError
from nncompress.formats.rescue import write_or_rescue
from nncompress.formats.work import WorkDirectory
from nncompress.job import require_weights
from nncompress.machine import Machine
from nncompress.making import (
    Coded,
    extras_of_table,
    facts_of_subwords,
    make_embedding,
    make_residual_embedding,
)
from nncompress.phases import WRITING
from nncompress.plan import Plan
from nncompress.progress import phase
from nncompress.sources.tables import SourceTable


def make_table(
    table: SourceTable,
    plan: Plan,
    machine: Machine,
    *,
    output: str | os.PathLike | None = None,
    weights: np.ndarray | None = None,
    report: Callable[[str], None] | None = None,
    curve: str | os.PathLike | None = None,
    work: WorkDirectory | None = None,
) -> CompressedEmbedding:
    """Compresses an open table in memory, as ``compress`` does.

    Args:
        table: The table.
        plan: Its target.
        machine: The machine to compute on.
        output: The ``.nnc`` file that will be written, for which there has to be room; None for
            none.
        weights: The weight of each row, float64 ``(N,)`` of mean 1; None for equal weights.
        report: A function that is called with a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The work directory of the job, see ``job.open_work``; the caller finishes it.

    Raises:
        InputError: An argument cannot be used, or the disk has no room for the result.
        Diverged: A loss or a parameter is not finite.
    """
    output = None if output is None else Path(output)
    if work is not None:
        require_weights(work, weights)
    coded: Coded | None = None
    facts: dict[str, object] = {"weighted": weights is not None}
    if plan.size is not None:
        from nncompress.coding import learn_codes  # the one step that needs Chainer

        coded, facts = learn_codes(table, output, plan, plan.size, machine, weights, report, work)
    facts |= facts_of_subwords(table)
    if coded is None or plan.has_residual:
        embedding = make_residual_embedding(
            table, coded, plan, facts, machine,
            output=output, weights=weights, report=report, curve=curve,
        )  # fmt: skip
    else:
        embedding, _ = make_embedding(
            table.matrix, coded, table.words, plan.codebook_dtype, facts, machine,
            extras_of_table(table),
        )  # fmt: skip
    if coded is not None:
        coded.warn_if_poor(table.matrix, weights)
    return embedding


def save_table(
    embedding: CompressedEmbedding, output: str | os.PathLike, work: WorkDirectory | None = None
) -> CompressedEmbedding:
    """Writes a table made by ``make_table``.

    Args:
        embedding: The compressed table.
        output: The ``.nnc`` file.
        work: The work directory of the job; None for none.

    Returns:
        The compressed table, opened from the file.

    Raises:
        OutputError: The file cannot be written. The message says where the result is instead.
    """
    with phase(WRITING):
        _write(embedding, Path(output), work)
    return CompressedEmbedding.load(output)


def _write(embedding: CompressedEmbedding, output: Path, work: WorkDirectory | None) -> None:
    if work is None:
        write_or_rescue(output.parent, lambda place: embedding.save(place / output.name))
        return
    try:
        embedding.save(output)
    except OutputError as error:
        raise OutputError(
            f"{error}; the finished work is in {work.path}, so run the command again with more "
            "room or another output",
            error.errno,
        ) from error
