"""Forecasting the cost of compressing a table: the file's bytes, seconds and memory."""

import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nncompress.embedding.subword_extras import to_extras
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.evaluate.choosing import Choice, Chooser
from nncompress.evaluate.sample import SampleSize
from nncompress.jobs.blocks import block_rows_of
from nncompress.jobs.learning import sample_size, sampled_rows
from nncompress.machine import Machine
from nncompress.needs import codes_bytes, memory_bytes
from nncompress.opening import opened, refuse_weights, weigh_rows
from nncompress.plan import Plan
from nncompress.refinement.encoding import RowEncoder
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows
from nncompress.sources.row_source import RowSource
from nncompress.sources.tables import SourceTable
from nncompress.trellis.row_weights import bit_weights
from nncompress.trellis.stage import SAMPLE_ROWS, Remainder, make_residual

_SAMPLE = SampleSize(fitted=1_024, held_out=1_024, queries=256, trials=2)
_TIMED_ROWS = 256
# The approximate memory for encoding in blocks; one block divided by the second number is timed.
_LARGE_BYTES, _TIMED_SHARE = 1 << 30, 16
# The number of rounds in which a sample is coded while a quantizer is fitted to it, and the
# approximate number of times that all rows are coded.
_ROUNDS, _CODINGS = 3, 2


@dataclass(frozen=True)
class Forecast:
    """A forecast; for additive codes, the file size is exact except for header and codebook type.

    Attributes:
        file_bytes: Size of the ``.nnc`` file with its codebook in float16.
        source_bytes: Size of the matrix in float32.
        seconds: Time from an open table to the file.
        memory_bytes: The most memory in use at once, without the pages of mapped files.
        choice: The choice for the residual stage on a small sample; None without such a stage.
    """

    file_bytes: int
    source_bytes: int
    seconds: float
    memory_bytes: int
    choice: Choice | None = None


def forecast_source(
    table: Mapping[str, Any],
    plan: Plan,
    machine: Machine,
    *,
    weights: np.ndarray | None = None,
    weights_name: str = "the weights",
    frequencies: str | os.PathLike | Mapping[str, float] | None = None,
    has_words: bool = True,
) -> Forecast:
    """Forecasts the cost of ``compress_source``, which takes the same arguments.

    Args:
        table: The arguments of ``open_table``.
        plan: The target for the table.
        machine: The machine to compute on.
        weights: The weight of each row before ``limit``, ``(N,)``; None for equal weights.
        weights_name: Their name in messages.
        frequencies: The frequencies of words, or the path of a file with them.
        has_words: Whether the words are also written.

    Raises:
        InputError: An argument cannot be used, or a target cannot be reached.
    """
    with opened(table, plan, machine, None, None) as (rows, small, _):
        if rows is not None:
            refuse_weights(rows, weights, frequencies, table.get("corpus"))
            return forecast_large(rows, plan, machine)
        assert small is not None
        weights, _ = weigh_rows(table, small, weights, weights_name, frequencies)
        return forecast(small if has_words else replace(small, words=None), plan, machine, weights)


def forecast(
    table: SourceTable, plan: Plan, machine: Machine, weights: np.ndarray | None = None
) -> Forecast:
    """Forecasts the cost of compressing a table by timing small parts of the work on its rows.

    Args:
        table: The table.
        plan: Its target.
        machine: The machine to compute on.
        weights: The weight of each row, float64 ``(N,)`` of mean 1; None for equal weights.

    Raises:
        InputError: A setting cannot be used, or a target cannot be reached.
    """
    matrix = table.matrix
    num_rows, dim = matrix.shape
    file_bytes, seconds, refined, choice = 0, 0.0, False, None
    if plan.size is not None:
        from nncompress.coding import codes_seconds  # the one step that needs Chainer

        seconds, refined = codes_seconds(matrix, plan, plan.size, machine)
        file_bytes = codes_bytes(num_rows, dim, plan.size) + plan.stage_bytes(matrix.shape)
    if plan.has_residual:
        choice, more = _stage_seconds(matrix, plan, machine, weights)
        seconds += more
        if plan.size is None:
            file_bytes = int(choice.point.bytes_per_row * num_rows)
    if table.words is not None:
        sections = Vocabulary.of_words(table.words, num_rows).sections
        file_bytes += sum(array.nbytes for array in sections.values())
    if table.subwords is not None:
        file_bytes += sum(array.nbytes for array in to_extras(table.subwords).values())
    memory = memory_bytes(num_rows, dim, plan.size, len(table.words or ()), refined=refined)
    return Forecast(file_bytes, 4 * num_rows * dim, seconds, memory, choice)


def forecast_large(source: RowSource, plan: Plan, machine: Machine) -> Forecast:
    """Forecasts the cost of learning a model on a sample and encoding all rows, by timing parts.

    Args:
        source: The table.
        plan: Its target.
        machine: The machine to compute on.

    Raises:
        InputError: A setting cannot be used, or a target cannot be reached.
    """
    num_rows, dim = source.num_rows, source.dim
    rows = source.take(sampled_rows(num_rows, sample_size(num_rows, dim)))
    matrix = EmbeddingMatrix(rows, source.name)
    expected = forecast(SourceTable(matrix, None, num_rows), plan, machine)
    seconds, file_bytes = 0.0, 0
    timed = np.ascontiguousarray(rows[: block_rows_of(dim, 1) // _TIMED_SHARE])
    if plan.size is not None:
        seconds += _encoding_seconds(timed, matrix, plan.size, machine)
        file_bytes = codes_bytes(num_rows, dim, plan.size) + plan.stage_bytes((num_rows, dim))
    if expected.choice is not None:
        started = time.perf_counter()
        make_residual(Remainder(EmbeddingMatrix(timed)), expected.choice.settings, machine)
        seconds += (time.perf_counter() - started) / (_ROUNDS + 1)
        if plan.size is None:
            file_bytes = int(expected.choice.point.bytes_per_row * num_rows)
    seconds *= num_rows / len(timed)
    return replace(
        expected, file_bytes=file_bytes, source_bytes=4 * num_rows * dim,
        seconds=expected.seconds + seconds,
        memory_bytes=max(expected.memory_bytes, _LARGE_BYTES),
    )  # fmt: skip


def _encoding_seconds(
    rows: np.ndarray, matrix: EmbeddingMatrix, size: tuple[int, int], machine: Machine
) -> float:
    """Returns the seconds that encoding rows takes, using a random codebook."""
    random = np.random.default_rng(0)
    normalization = matrix.normalization
    codebook = random.normal(size=(size[0] * size[1], matrix.dim)) / size[0] ** 0.5
    codebook = (codebook * normalization.scale).astype(np.float32)
    encoder = RowEncoder(
        codebook, size[0], normalization, 0.3 * matrix.mean_row_loss(), machine=machine
    )
    encoder.encode(rows[:64], 0)  # loads the kernels
    started = time.perf_counter()
    encoder.encode(rows, 0)
    return time.perf_counter() - started


def _stage_seconds(
    matrix: EmbeddingMatrix, plan: Plan, machine: Machine, weights: np.ndarray | None
) -> tuple[Choice, float]:
    """Returns the residual stage's choice on a small sample, and the seconds for all rows."""
    started = time.perf_counter()
    remainder = Remainder(matrix)  # after additive codes, the work is the same
    by_weight = None
    if plan.has_bits_by_weight:
        by_weight = bit_weights(matrix, weights, by_length=plan.has_bits_by_length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings are given when all rows are coded
        choice = Chooser(remainder, plan.target, machine, by_weight, size=_SAMPLE).choose()
    chosen = time.perf_counter() - started
    rows = spaced_rows(_TIMED_ROWS, len(matrix))
    own = None if by_weight is None else by_weight[rows]
    started = time.perf_counter()
    make_residual(remainder.part(rows), choice.settings, machine, own)
    row = (time.perf_counter() - started) / (len(rows) * (_ROUNDS + 1))
    coding = row * (_ROUNDS * min(SAMPLE_ROWS, len(matrix)) + len(matrix))
    return choice, chosen + _CODINGS * coding
