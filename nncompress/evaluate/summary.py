"""The short report on a table that was just compressed, and a warning if it is ruined."""

import os
import warnings
from collections.abc import Sequence

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.evaluate.evaluation import word_scores
from nncompress.evaluate.report import Report
from nncompress.evaluate.row_comparison import QUERIES, compare_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.row_source import RowSource

# In a large table, the neighbours of fewer rows are compared, so that a few seconds suffice.
_PRODUCTS, _LEAST_QUERIES = 2e10, 100
# The number of rows in a sample that represents a table of any size.
SAMPLE_ROWS = 16_384
# A sentence encoder whose token table had an error of 0.19 of the variance lost less than half a
# point of 100 on STS-B, and at 0.45 it lost four: the limit lies between these. Word vectors that
# keep less than a third of their neighbours answer most queries with other words.
MOST_ERROR, LEAST_KEPT = 0.25, 1 / 3


def summary(
    embedding: CompressedEmbedding,
    matrix: EmbeddingMatrix,
    pairs: Sequence[str | os.PathLike] = (),
) -> Report:
    """Measures a compressed table against the original, in one pass over all rows.

    Args:
        embedding: The compressed table.
        matrix: The original, ``(N, D)``.
        pairs: Files of word pairs.

    Raises:
        InputError: A file of pairs cannot be used, or the table has no words for it.
    """
    scores = word_scores(embedding, matrix, pairs)
    asked = int(_PRODUCTS / (len(matrix) * matrix.dim))
    rows = compare_rows(
        matrix, embedding.table.decode, min(QUERIES, max(_LEAST_QUERIES, asked))
    )  # fmt: skip
    return Report(rows.figures, scores, rows.basis())


def summary_of_sample(
    embedding: CompressedEmbedding, source: RowSource, numbers: np.ndarray
) -> Report:
    """Measures a sample of rows of a compressed table; neighbours are those within the sample.

    Args:
        embedding: The compressed table.
        source: The original, ``(N, D)``.
        numbers: The rows in the sample, int64 ``(n,)``, ascending.
    """
    matrix = EmbeddingMatrix(source.take(numbers), source.name)
    rows = compare_rows(matrix, lambda chosen: embedding.table.decode(numbers[chosen]))
    return Report(rows.figures, (), rows.basis(source.num_rows))


def warn_if_ruined(report: Report) -> None:
    """Warns if a table is so far from the original that a model using it would be ruined.

    Args:
        report: The table's measurements.
    """
    seen = []
    figures = report.figures
    if "error" in figures and figures["error"].value > MOST_ERROR:
        seen.append(f"an error of {figures['error'].value:.3g} of the variance")
    if "recall" in figures and figures["recall"].value < LEAST_KEPT:
        seen.append(f"{figures['recall'].value:.3g} of the nearest neighbours")
    if seen:
        warnings.warn(
            f"little is left of the table: {' and '.join(seen)}; use more bits (--bits-per-dim; "
            "for additive codes, -M and --residual-bits), or say how good it has to be "
            "(--target-recall, --require with --find)",
            stacklevel=3,
        )
