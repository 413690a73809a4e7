"""The gate of a table: it measures the table, and refuses one that falls short."""

import os
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.subwords import refuse_parts_of_words
from nncompress.embedding.word_tests import known_words
from nncompress.errors import InputError
from nncompress.evaluate.gate import check, find_smallest
from nncompress.evaluate.neighbours import FEWEST_ROWS
from nncompress.evaluate.report import Report
from nncompress.evaluate.requirements import KINDS, Requirements, requirements_of
from nncompress.evaluate.summary import summary, summary_of_sample, warn_if_ruined
from nncompress.evaluate.word_similarity import pairs_of_rows
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.row_source import RowSource
from nncompress.sources.subword_rows import SubwordRows


class TableGate:
    """The requirements for a compressed table, and the data to check them with.

    Args:
        require: The requirements; see ``requirements.Requirement``.
        find: Whether to search for the smallest size that meets them.
        pairs: Files of word pairs, on which word similarity is measured.
        warns: Whether to warn of a ruined table if nothing is required.

    Attributes:
        report: The table's measurements; None before they are made.

    Raises:
        InputError: A requirement cannot be measured or is out of its range, or a search is asked
            for without any requirement.
    """

    def __init__(
        self,
        require: Requirements | Mapping[str, float] | None = None,
        find: bool = False,
        pairs: Sequence[str | os.PathLike] = (),
        warns: bool = True,
    ) -> None:
        self.requirements = requirements_of(require, find)
        if isinstance(pairs, (str, os.PathLike)):
            raise InputError(f"pairs is {str(pairs)!r}; wanted a list of files, [{str(pairs)!r}]")
        self.find, self.pairs, self.warns = find, pairs, warns
        self.report: Report | None = None
        for each in self.requirements.all:
            if KINDS[each.name].needs not in ("", "--pairs"):
                raise InputError(
                    f"{each} is required of a table, but {each.name} is only measured for a "
                    "model's folder; wanted error, cosine, cosine_worst, recall or pairs"
                )
        self.requirements.check_data(["--pairs"] if pairs else [])

    def check_table(
        self,
        num_rows: int,
        words: Sequence[str | None] | None,
        subwords: SubwordRows | None = None,
    ) -> None:
        """Refuses requirements that cannot be measured for a table, before any work.

        Args:
            num_rows: N.
            words: Its words; None if it has none.
            subwords: Its rows of n-grams; None if it has none.

        Raises:
            InputError: There are too few rows for neighbours, or a file of pairs cannot be used,
                or there are no word vectors for it.
        """
        recall = next((each for each in self.requirements.all if each.name == "recall"), None)
        if recall is not None and num_rows < FEWEST_ROWS:
            raise InputError(
                f"{recall} is required, but {num_rows} rows are too few for neighbours; wanted at "
                f"least {FEWEST_ROWS}, or a cosine"
            )
        if self.pairs:
            refuse_parts_of_words(subwords)
            table = SimpleNamespace(has_words=words is not None, index_to_key=words)
            known = known_words(table)
            for path in self.pairs:
                pairs_of_rows(known, path)

    def smallest(
        self,
        make: Callable[[float], CompressedEmbedding],
        matrix: EmbeddingMatrix,
        report: Callable[[str], None] | None,
    ) -> CompressedEmbedding:
        """Searches for the smallest table that meets the requirements; see ``find_smallest``.

        Raises:
            NotGoodEnough: Even the largest size falls short.
        """
        made, self.report = find_smallest(
            make, lambda made: summary(made, matrix, self.pairs), self.requirements, report=report
        )
        return made

    def let_pass(self, embedding: CompressedEmbedding, matrix: EmbeddingMatrix) -> None:
        """Measures a table, and refuses it if it falls short.

        Raises:
            NotGoodEnough: It falls short.
        """
        self._judge(summary(embedding, matrix, self.pairs))

    def let_sample_pass(
        self, embedding: CompressedEmbedding, source: RowSource, numbers: np.ndarray
    ) -> None:
        """Measures some rows of a large table, and refuses it if they fall short.

        Raises:
            NotGoodEnough: It falls short.
        """
        self._judge(summary_of_sample(embedding, source, numbers))

    def _judge(self, report: Report) -> None:
        self.report = report
        check(report, self.requirements)
        if self.warns and not self.requirements:  # requirements already say what is enough
            warn_if_ruined(report)
