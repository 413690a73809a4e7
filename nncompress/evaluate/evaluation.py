"""Measuring how much of an original table a compressed embedding keeps."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.keys import Keys
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.sharded_table import codes_of, shards_of
from nncompress.embedding.similarity import Similarity, moderate
from nncompress.embedding.word_tests import WordTable, evaluate_word_pairs
from nncompress.errors import InputError
from nncompress.evaluate.distortion import Distortion, distances
from nncompress.progress import progress_bar
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

NEIGHBOURS = 10
_QUERIES = 1_000
_BLOCK_ROWS = 8_192
_WORD_TESTS = ("wordsim353.tsv", "simlex999.txt")  # that gensim brings


@dataclass(frozen=True)
class Evaluation:
    """The results of a comparison.

    Attributes:
        distortion: Means over all rows.
        distances: Each row's distance to its reconstruction, float64 ``(N,)``.
        kept: For each row that was asked for its nearest neighbours, the share of the original's
            that the compressed table finds too, float64 ``(Q,)``.
        usage: The number of rows that use each codeword, int64 ``(M, K)``; M is 0 without additive
            codes.
        residual_bits: Mean bits of a row's residual; 0 without a residual stage.
        word_tests: By name, the Spearman correlation with people's similarities of the original
            and of the compressed table.
    """

    distortion: Distortion
    distances: np.ndarray
    kept: np.ndarray
    usage: np.ndarray
    residual_bits: float
    word_tests: dict[str, tuple[float, float]]

    @property
    def recall(self) -> float:
        """The mean share of the nearest neighbours that are kept: recall@10."""
        return float(self.kept.mean())

    @property
    def bits_used(self) -> float:
        """The entropy of the codes, group by group, and the residual, in bits a row."""
        share = self.usage / self.usage.sum(axis=1, keepdims=True)
        entropy = -(share * np.log2(np.where(share > 0, share, 1.0))).sum()
        return float(entropy) + self.residual_bits


def evaluate(
    embedding: CompressedEmbedding,
    matrix: EmbeddingMatrix,
    pairs: Sequence[str | os.PathLike] | None = None,
    num_queries: int = _QUERIES,
) -> Evaluation:
    """Compares a compressed embedding with the matrix that it was made of.

    Args:
        embedding: The compressed embedding.
        matrix: The original, rows in the same order.
        pairs: Files for ``evaluate_word_pairs``; by default those that gensim brings, if it and
            SciPy are installed and the table has words.
        num_queries: The number of rows, evenly spaced, that are asked for their neighbours.

    Raises:
        InputError: The shapes differ, or a file cannot be used.
    """
    table = embedding.table
    if matrix.shape != (table.num_rows, table.dim):
        raise InputError(
            f"{matrix.name} has shape {matrix.shape}; the compressed table was made of one of "
            f"shape {(table.num_rows, table.dim)}"
        )
    word_tests = _word_tests(embedding, matrix, pairs)  # first, for it may refuse a file
    parts = []
    shards = shards_of(table)
    additive, residual_bits = shards[0], 0.0
    if isinstance(additive, ResidualTable):
        residual_bits = 8 * sum(s.residual.row_bytes * s.num_rows for s in shards) / len(matrix)
        additive = additive.additive
    size = 0 if additive is None else 1 << additive.packing.bits
    usage = np.zeros((table.num_codebooks, size), dtype=np.int64)
    with progress_bar(len(matrix), "Measuring distances") as bar:
        for start, rows in matrix.batches(_BLOCK_ROWS):
            block = slice(start, start + len(rows))
            parts.append(distances(rows, table.decode(block)))
            bar.update(len(rows))
    if additive is not None:
        for codes in codes_of(table):
            for group, chosen in zip(usage, codes.T, strict=True):
                group += np.bincount(chosen, minlength=len(group))
    measured = np.concatenate(parts, axis=1)
    return Evaluation(
        Distortion(*measured.mean(axis=1).tolist()),
        measured[1],
        _neighbours_kept(embedding, matrix, spaced_rows(num_queries, len(matrix))),
        usage[:, : table.num_codewords],
        residual_bits,
        word_tests,
    )


def _neighbours_kept(
    embedding: CompressedEmbedding, matrix: EmbeddingMatrix, queries: np.ndarray
) -> np.ndarray:
    """Returns the share of each query's nearest rows by cosine that both tables agree on."""
    wanted = min(NEIGHBOURS, len(matrix) - 1)
    if wanted < 1:
        return np.ones(len(queries))
    units = _units(matrix.take(queries))
    best = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    rows_of_best = np.empty((len(queries), 0), dtype=np.int64)
    with progress_bar(len(matrix), "Finding neighbours") as bar:
        for start, rows in matrix.batches(_BLOCK_ROWS):
            scores = units @ _units(rows).T
            mine = (queries >= start) & (queries < start + len(rows))
            scores[mine, queries[mine] - start] = -np.inf
            best = np.concatenate([best, scores], axis=1)
            numbers = np.broadcast_to(np.arange(start, start + len(rows)), scores.shape)
            rows_of_best = np.concatenate([rows_of_best, numbers], axis=1)
            keep = np.argpartition(-best, min(wanted, best.shape[1] - 1), axis=1)[:, :wanted]
            best = np.take_along_axis(best, keep, axis=1)
            rows_of_best = np.take_along_axis(rows_of_best, keep, axis=1)
            bar.update(len(rows))
    kept = np.empty(len(queries))
    by_number = Similarity(embedding.table, Keys(None, len(matrix)))
    for i, query in enumerate(queries):
        found = [row for row, _ in by_number.nearest(int(query), None, wanted, None)]
        kept[i] = np.isin(rows_of_best[i], found).mean()
    return kept


def _units(rows: np.ndarray) -> np.ndarray:
    rows = moderate(rows)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1.0)


class _Original:
    """An original table, as far as tests of word pairs need it: a ``WordTable``."""

    def __init__(self, embedding: CompressedEmbedding, matrix: EmbeddingMatrix) -> None:
        self.has_words = embedding.has_words
        self.index_to_key = embedding.index_to_key
        self._matrix = matrix

    def similarity(self, one: int, other: int) -> float:
        """Returns the cosine between two rows."""
        first, second = _units(self._matrix.take(np.array([one, other])))
        return float(first @ second)


def _word_tests(
    embedding: CompressedEmbedding,
    matrix: EmbeddingMatrix,
    pairs: Sequence[str | os.PathLike] | None,
) -> dict[str, tuple[float, float]]:
    given = True
    if pairs is None:
        try:
            import scipy  # noqa: F401
            from gensim.test.utils import datapath
        except ImportError:
            return {}
        if not embedding.has_words:
            return {}
        pairs, given = [datapath(name) for name in _WORD_TESTS], False
    results = {}
    for path in pairs:
        tables: tuple[WordTable, ...] = _Original(embedding, matrix), embedding
        try:
            scores = [evaluate_word_pairs(table, path)[1][0] for table in tables]
        except InputError:
            if given:
                raise
            continue  # words of another language
        results[os.path.basename(path)] = (scores[0], scores[1])
    return results
