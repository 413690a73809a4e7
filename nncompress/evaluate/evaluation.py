"""Measuring how well a compressed embedding preserves the original table."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.sharded_table import codes_of, shards_of
from nncompress.embedding.subwords import refuse_parts_of_words
from nncompress.embedding.word_tests import known_words
from nncompress.errors import InputError
from nncompress.evaluate.report import Report, Score
from nncompress.evaluate.row_comparison import QUERIES, RowComparison, compare_rows
from nncompress.evaluate.word_similarity import pairs_of_rows, word_similarity
from nncompress.sources import EmbeddingMatrix

_WORD_TESTS = ("wordsim353.tsv", "simlex999.txt")  # included in gensim
_FEWEST_PAIRS = 30  # with fewer, a correlation that nobody asked for says nothing


@dataclass(frozen=True)
class Evaluation:
    """The results of a comparison.

    Attributes:
        rows: The measurements of the rows.
        usage: The number of rows that use each codeword, int64 ``(M, K)``; M is 0 without additive
            codes.
        residual_bits: Mean bits of a row's residual; 0 without a residual stage.
        scores: The scores on word tests.
    """

    rows: RowComparison
    usage: np.ndarray
    residual_bits: float
    scores: tuple[Score, ...]

    @property
    def report(self) -> Report:
        """The measurements with intervals."""
        return Report(self.rows.figures, self.scores, self.rows.basis())

    @property
    def bits_used(self) -> float:
        """The entropy of the codes, group by group, plus the residual, in bits per row."""
        share = self.usage / self.usage.sum(axis=1, keepdims=True)
        entropy = -(share * np.log2(np.where(share > 0, share, 1.0))).sum()
        return float(entropy) + self.residual_bits


def evaluate(
    embedding: CompressedEmbedding,
    matrix: EmbeddingMatrix,
    pairs: Sequence[str | os.PathLike] | None = None,
    num_queries: int = QUERIES,
    words: Sequence[str | None] | None = None,
) -> Evaluation:
    """Compares a compressed embedding with the original matrix.

    Args:
        embedding: The compressed embedding.
        matrix: The original, with rows in the same order.
        pairs: Files of word pairs, see ``word_similarity``; by default those included in gensim,
            if it is installed and the table has the words of 30 pairs or more.
        num_queries: The number of rows, evenly spaced, whose neighbours are compared.
        words: The word of each row of the original, or None, to compare with those of the
            compressed one; None for no comparison.

    Returns:
        The figures for rows, and the scores on word pairs.

    Raises:
        InputError: The shapes or the words differ, or a file cannot be used.
    """
    table = embedding.table
    if matrix.shape != (table.num_rows, table.dim):
        raise InputError(
            f"{matrix.name} has {matrix.total_rows:,} rows x {matrix.dim:,} dimensions, but the "
            f"compressed table has {table.num_rows:,} x {table.dim:,}; wanted the table that it "
            "was made from"
        )
    _refuse_other_words(embedding, words, matrix.name)
    # Word tests come first, since they may refuse a file.
    scores = _usual_scores(embedding, matrix) if pairs is None else word_scores(
        embedding, matrix, pairs
    )  # fmt: skip
    shards = shards_of(table)
    additive, residual_bits = shards[0], 0.0
    if isinstance(additive, ResidualTable):
        residual_bits = 8 * sum(s.residual.row_bytes * s.num_rows for s in shards) / len(matrix)
        additive = additive.additive
    size = 0 if additive is None else 1 << additive.packing.bits
    usage = np.zeros((table.num_codebooks, size), dtype=np.int64)
    if additive is not None:
        for codes in codes_of(table):
            for group, chosen in zip(usage, codes.T, strict=True):
                group += np.bincount(chosen, minlength=len(group))
    rows = compare_rows(matrix, table.decode, num_queries)
    return Evaluation(rows, usage[:, : table.num_codewords], residual_bits, scores)


def word_scores(
    embedding: CompressedEmbedding,
    matrix: EmbeddingMatrix,
    pairs: Sequence[str | os.PathLike],
) -> tuple[Score, ...]:
    """Measures word similarity before and after, one score per file; see ``word_similarity``.

    Raises:
        InputError: A file cannot be used, the table has no words, or its rows are not vectors of
            words, as in some classifiers.
    """
    if not pairs:
        return ()
    refuse_parts_of_words(embedding.subwords)
    known = known_words(embedding)
    decode = embedding.table.decode
    return tuple(word_similarity(known, matrix.take, decode, path) for path in pairs)


def _refuse_other_words(
    embedding: CompressedEmbedding, words: Sequence[str | None] | None, name: str
) -> None:
    """Refuses an original whose rows are other words than those of the compressed table.

    Args:
        embedding: The compressed table.
        words: The word of each row of the original, or None; None for an original without words.
        name: The original's name in messages.

    Raises:
        InputError: A row has another word.
    """
    if words is None or not embedding.has_words:
        return
    for row, (word, key) in enumerate(zip(words, embedding.index_to_key, strict=False)):
        # A word that rows share is the key of the first of them.
        if isinstance(key, str) and word is not None and key != word:
            raise InputError(
                f"row {row} (counted from 0) is {word!r} in {name} and {key!r} in the compressed "
                "table; wanted the same rows in the same order, so give the table that it was "
                "made from, or the words with --words"
            )


def _usual_scores(embedding: CompressedEmbedding, matrix: EmbeddingMatrix) -> tuple[Score, ...]:
    try:
        from gensim.test.utils import datapath
    except ImportError:
        return ()
    if not embedding.has_words:
        return ()
    known = known_words(embedding)
    scores: tuple[Score, ...] = ()
    for name in _WORD_TESTS:
        try:
            _, people = pairs_of_rows(known, datapath(name))
            if len(people) >= _FEWEST_PAIRS:
                scores += word_scores(embedding, matrix, [datapath(name)])
        except InputError:
            continue  # the table's words are in another language
    return scores
