"""Learning the model that encodes rows, on a sample of a table's rows."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.model import Model
from nncompress.embedding.provenance import ENCODING
from nncompress.embedding.sharded_table import shards_of
from nncompress.errors import InputError
from nncompress.formats.work import WorkDirectory
from nncompress.jobs.block_encoder import BlockEncoder
from nncompress.machine import Machine
from nncompress.pipeline import make_table
from nncompress.plan import Plan
from nncompress.progress import phase
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows
from nncompress.sources.row_source import RowSource
from nncompress.sources.tables import SourceTable

# Rows of a sample: with more of them, the errors of other rows fall by less than 0.5%.
SAMPLE_ROWS = 262_144
_SAMPLE_BYTES = 512 << 20
# A sample consists of runs of neighbouring rows, which are read together.
_RUN_ROWS = 64
# Rows outside the sample on which the model is measured: the usual number, and the fewest.
_HELD_OUT_ROWS, _FEWEST_HELD_OUT = 4_096, 256


def sample_size(num_rows: int, dim: int) -> int:
    """Returns the number of rows that a model is learnt on, out of N rows of D columns."""
    return min(num_rows, SAMPLE_ROWS, max(1, _SAMPLE_BYTES // (4 * dim)))


def sampled_rows(num_rows: int, count: int) -> np.ndarray:
    """Returns the numbers of evenly spaced runs of rows, int64 ``(count,)``.

    Args:
        num_rows: N.
        count: The number of rows to return.
    """
    if count == num_rows:
        return np.arange(num_rows)
    runs = -(-count // _RUN_ROWS)
    firsts = np.arange(runs) * (num_rows - _RUN_ROWS) // max(1, runs - 1)
    rows = (firsts[:, None] + np.arange(_RUN_ROWS)).reshape(-1)
    return np.unique(rows)[:count]


def learn_model(
    source: RowSource,
    plan: Plan,
    machine: Machine,
    *,
    num_rows: int | None = None,
    report: Callable[[str], None] | None = None,
    curve: str | os.PathLike | None = None,
    work: WorkDirectory | None = None,
) -> Model:
    """Learns a model on a sample of a table's rows.

    A requested size or quality is reached on the sample; nearest neighbours are those among its
    rows.

    Args:
        source: The table, ``(N, D)``.
        plan: The target for its rows.
        machine: The machine to compute on.
        num_rows: The number of rows in the sample; None for as many as are worthwhile.
        report: A function that is called with a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The work directory of the job; None for none. The caller finishes it after writing
            the model.

    Returns:
        The model, without rows.

    Raises:
        InputError: An argument cannot be used, or the table has fewer rows than the sample
            needs.
        Diverged: A loss or a parameter is not finite.
    """
    check_objective(source, plan.objective)
    count = sample_size(source.num_rows, source.dim) if num_rows is None else num_rows
    if not 1 <= count <= source.num_rows:
        raise InputError(
            f"a sample of {count:,} rows was requested from {source.name}, which has "
            f"{source.num_rows:,}; wanted 1 to {source.num_rows:,} (--sample)"
        )
    numbers = sampled_rows(source.num_rows, count)
    others = np.setdiff1d(spaced_rows(2 * _HELD_OUT_ROWS, source.num_rows, shift=0.5), numbers)
    others = others[spaced_rows(_HELD_OUT_ROWS, len(others))] if len(others) else others
    taken = np.union1d(numbers, others)
    with phase("reading the sample"):
        rows = source.take(taken)
    held_out = rows[np.isin(taken, others, assume_unique=True)]
    sample = rows[np.isin(taken, numbers, assume_unique=True)]
    del rows
    matrix = EmbeddingMatrix(sample, source.name, unit_rows=source.unit_rows)
    if work is not None:
        work.require({"the sample's digest": matrix.digest().hex()})
    table = SourceTable(matrix, None, source.num_rows)
    embedding = make_table(table, plan, machine, report=report, curve=curve, work=work)
    model = model_of(embedding, matrix)
    if len(held_out) < _FEWEST_HELD_OUT:
        return model
    # Rows that nothing was fitted to predict the error of other rows better.
    encoded = BlockEncoder(model, EFFORTS["default"], machine).encode(held_out, 0)
    return replace(model, encoding={**model.encoding, "error": encoded.sums.error})


def check_objective(source: RowSource, objective: str) -> None:
    """Refuses rows whose normalization does not match the objective.

    Raises:
        InputError: The rows are divided by their lengths but the objective is not "cosine", or
            the other way round.
    """
    if source.unit_rows != (objective == "cosine"):
        seen = "are" if source.unit_rows else "are not"
        raise InputError(
            f"the rows of {source.name} {seen} divided by their lengths, but the objective is "
            f"{objective}; open them with unit_rows={objective == 'cosine'}"
        )


def check_rows_fit(source: RowSource, model: Model) -> None:
    """Refuses rows that are not like those a model was learnt from.

    Raises:
        InputError: They have another number of columns or another normalization.
    """
    if source.dim != model.dim:
        raise InputError(
            f"{source.name} has {source.dim} columns; wanted {model.dim}, as in the model"
        )
    check_objective(source, "cosine" if model.unit_rows else "distance")


def model_of(embedding: CompressedEmbedding, matrix: EmbeddingMatrix) -> Model:
    """Returns the model of a compressed sample.

    Args:
        embedding: The compressed sample.
        matrix: The sample, ``(n, D)``.
    """
    (table,) = shards_of(embedding.table)
    model, normalization = embedding.model, matrix.normalization
    facts = {name: fact for name, fact in embedding.provenance.items() if name != ENCODING}
    spread = matrix.mean_row_loss()
    encoding = {
        **model.encoding,
        "row_bytes": table.row_bytes,
        "sample_rows": len(matrix),
        "error": float(cast(float, facts["loss"])) / spread if spread else 0.0,
    }
    return replace(
        model, centre=normalization.centre, scale=normalization.scale, encoding=encoding,
        provenance=facts,
    )  # fmt: skip
