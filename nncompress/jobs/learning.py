"""Learning what rows are encoded by, on a sample of a table's rows."""

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
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows
from nncompress.sources.row_source import RowSource
from nncompress.sources.tables import SourceTable

# Rows of a sample: with more of them, errors of other rows fall by less than a two hundredth.
SAMPLE_ROWS = 262_144
_SAMPLE_BYTES = 512 << 20
# A sample is runs of neighbouring rows, which are read together.
_RUN_ROWS = 64
# Rows beside the sample that tell how well others fit the model, and the fewest that do.
_HELD_OUT_ROWS, _FEWEST_HELD_OUT = 4_096, 256


def sample_size(num_rows: int, dim: int) -> int:
    """Returns how many of N rows of D columns a model is learnt on."""
    return min(num_rows, SAMPLE_ROWS, max(1, _SAMPLE_BYTES // (4 * dim)))


def sampled_rows(num_rows: int, count: int) -> np.ndarray:
    """Returns the numbers of evenly spaced runs of rows, int64 ``(count,)``.

    Args:
        num_rows: N.
        count: How many rows.
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

    What a size or a quality is asked for is reached on the sample; nearest neighbours are those
    among its rows.

    Args:
        source: The table, ``(N, D)``.
        plan: What its rows are to become.
        machine: The machine to compute on.
        num_rows: Rows of the sample; None for as many as pay.
        report: A function that takes a line for each epoch and each point of the curve.
        curve: A file for the curve that a residual stage is chosen from; None for none.
        work: The directory in which the job is kept; None for none. Its end, where the model is
            written, is the caller's to tell.

    Raises:
        InputError: Something given cannot be used, or the table has fewer rows than the sample is
            to have.
        Diverged: A loss or a parameter is not finite.
    """
    check_objective(source, plan.objective)
    count = sample_size(source.num_rows, source.dim) if num_rows is None else num_rows
    if not 1 <= count <= source.num_rows:
        raise InputError(
            f"a sample of {count:,} rows of {source.name}, which has {source.num_rows:,}; wanted "
            "1 to as many (--sample)"
        )
    numbers = sampled_rows(source.num_rows, count)
    others = np.setdiff1d(spaced_rows(2 * _HELD_OUT_ROWS, source.num_rows, shift=0.5), numbers)
    others = others[spaced_rows(_HELD_OUT_ROWS, len(others))] if len(others) else others
    taken = np.union1d(numbers, others)
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
    # Rows that nothing was fitted to tell better what others will come to.
    encoded = BlockEncoder(model, EFFORTS["default"], machine).encode(held_out, 0)
    return replace(model, encoding={**model.encoding, "error": encoded.sums.error})


def check_objective(source: RowSource, objective: str) -> None:
    """Refuses rows that are not divided by their lengths though they are to be, or are so.

    Raises:
        InputError: They are the others.
    """
    if source.unit_rows != (objective == "cosine"):
        seen = "are" if source.unit_rows else "are not"
        raise InputError(
            f"the rows of {source.name} {seen} divided by their lengths, and the objective is "
            f"{objective}; open them with unit_rows={objective == 'cosine'}"
        )


def check_rows_fit(source: RowSource, model: Model) -> None:
    """Refuses rows that are not like those a model was learned from.

    Raises:
        InputError: Their number of columns is another, or so is whether they are divided by
            their lengths.
    """
    if source.dim != model.dim:
        raise InputError(f"{source.name} has {source.dim} columns; the model is of {model.dim}")
    check_objective(source, "cosine" if model.unit_rows else "distance")


def model_of(embedding: CompressedEmbedding, matrix: EmbeddingMatrix) -> Model:
    """Returns the model that a compressed sample is decoded by.

    Args:
        embedding: The sample, compressed.
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
