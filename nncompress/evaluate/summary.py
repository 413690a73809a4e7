"""The short report on a table that has just been compressed, and a warning where it is ruined."""

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

# Of a large table fewer rows are asked for their neighbours, so that a few seconds do.
_PRODUCTS, _LEAST_QUERIES = 2e10, 100
# Rows that a table of any size is told by.
SAMPLE_ROWS = 16_384
# A sentence encoder whose token table had an error of 0.19 of the variance lost less than half a
# point of 100 in STS-B, and at 0.45 four points: between them a model is ruined. Word vectors that
# keep fewer than a third of their neighbours answer most questions with other words.
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
    """Measures some rows of a compressed table of any size; neighbours are those among them.

    Args:
        embedding: The compressed table.
        source: The original, ``(N, D)``.
        numbers: The rows to look at, int64 ``(n,)`` and rising.
    """
    matrix = EmbeddingMatrix(source.take(numbers), source.name)
    rows = compare_rows(matrix, lambda chosen: embedding.table.decode(numbers[chosen]))
    return Report(rows.figures, (), rows.basis(source.num_rows))


def warn_if_ruined(report: Report) -> None:
    """Warns of a table that is so far from the original that a model with it is ruined.

    Args:
        report: What was measured of it.
    """
    seen = []
    figures = report.figures
    if "error" in figures and figures["error"].value > MOST_ERROR:
        seen.append(f"an error of {figures['error'].value:.3g} of the variance")
    if "recall" in figures and figures["recall"].value < LEAST_KEPT:
        seen.append(f"{figures['recall'].value:.3g} of the nearest neighbours")
    if seen:
        warnings.warn(
            f"little is left of the table: {' and '.join(seen)}; ask for more bits "
            "(--bits-per-dim; -M and --residual-bits of additive codes), or say what is to be "
            "kept (--target-recall, --require with --find)",
            stacklevel=3,
        )
