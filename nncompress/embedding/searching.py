"""Searching a compressed embedding for the nearest rows."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from nncompress.embedding.inverted_file import InvertedFile
from nncompress.embedding.key_vectors import KeyVectors
from nncompress.embedding.keys import Key
from nncompress.embedding.row_filter import row_numbers, row_range
from nncompress.embedding.sharded_table import Table
from nncompress.embedding.similarity import Query, Similarity
from nncompress.embedding.subwords import refuse_parts_of_words
from nncompress.embedding.table_index import TableIndex
from nncompress.errors import InputError
from nncompress.sources.subword_rows import SubwordRows


class Searching:
    """The methods of a compressed embedding that search its rows."""

    table: Table
    subwords: SubwordRows | None
    _num_searched: int
    _key_vectors: KeyVectors
    _similarity: Similarity
    _index: TableIndex

    def build_index(
        self, path: str | os.PathLike | None = None, lists: int | None = None
    ) -> InvertedFile:
        """Builds the index that ``probe`` needs, from all rows, and keeps it.

        It is written beside the table's file, as ``glove.nnc.ivf``, where ``load`` finds it. The
        index of a table without a file stays in memory. This needs what refinement needs:
        ``pip install "chainer-nncompress[compress]"``.

        Args:
            path: The table's file; None for the file that the table was loaded from, if any.
            lists: The number of lists; None for 4 times the square root of the number of rows.
                The more lists, the fewer rows in each.

        Raises:
            InputError: The number of lists is out of range.
            OutputError: The file cannot be written.
            ImportError: Numba or threadpoolctl is not installed.
        """
        return self._index.build(path, lists)

    def most_similar(
        self,
        positive: Query | Sequence[Query] | None = None,
        negative: Query | Sequence[Query] | None = None,
        topn: int | None = 10,
        clip_start: int = 0,
        clip_end: int | None = None,
        restrict_vocab: int | None = None,
        indexer: None = None,
        *,
        probe: int | None = None,
        rows: Sequence[int] | np.ndarray | None = None,
    ) -> list[tuple[Key, float]] | np.ndarray:
        """Finds the words nearest, by cosine, to a mean of keys and vectors.

        The mean is that of unit vectors, with negative ones subtracted (Mikolov et al.,
        "Linguistic Regularities in Continuous Space Word Representations", 2013).

        Args:
            positive: Keys, vectors, or pairs of either and a weight.
            negative: The same, with weights of -1; the weight of a pair is used as it is, as in
                gensim.
            topn: The number of words; None to return the cosines of all rows instead, float32
                ``(n,)``, or those of all words in a table with rows of n-grams.
            clip_start: The first row to search.
            clip_end: The row after the last one to search; None or 0 for the end.
            restrict_vocab: The number of leading rows to search, which overrides ``clip_start``
                and ``clip_end`` as in gensim; None or 0 to use those.
            indexer: Refused: gensim's indexers cannot be used; see ``build_index``.
            probe: The number of lists in the table's index to search, those nearest to the mean.
                The more lists, the fewer of the nearest words are missed. None for an exact
                search of all rows.
            rows: The rows to search: numbers in any order, or a boolean for each row. With
                ``probe``, only those of them that are in the lists. None for all.

        Returns:
            Words and cosines, nearest first, without the given keys; fewer than ``topn`` if not
            enough rows were searched.

        Raises:
            KeyError: A key is missing.
            InputError: Nothing was given to compare with, a vector does not have D numbers, or
                ``probe`` is given but the table has no index, or that of another table.
        """
        if indexer is not None:
            raise InputError(
                f"an indexer, {type(indexer).__name__}, was given; use the table's own index "
                "instead: make it with build_index, and give probe"
            )
        within = row_range(self._num_searched, restrict_vocab, clip_start, clip_end)
        return self._nearest(positive, negative, topn, within, self._chosen(probe, rows))

    def _nearest(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
        topn: int | None,
        within: range,
        chosen: Callable[[np.ndarray], np.ndarray] | None,
    ) -> list[tuple[Key, float]] | np.ndarray:
        """Searches as ``most_similar`` does, among the rows that a function chooses."""
        refuse_parts_of_words(self.subwords)
        if topn is not None:
            return self._similarity.nearest(positive, negative, topn, within, chosen)
        if chosen is not None:
            raise InputError(
                "topn=None returns the cosines of all rows; wanted a number with probe or rows"
            )
        return self._similarity.scores(positive, negative, within)

    def _chosen(
        self, probe: int | None, rows: Sequence[int] | np.ndarray | None
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """Returns a function that chooses the rows to search for a query; None for all rows."""
        within = None if rows is None else row_numbers(rows, self.table.num_rows)
        if probe is None:
            return None if within is None else lambda query: within
        if isinstance(probe, bool) or not isinstance(probe, (int, np.integer)) or probe < 1:
            raise InputError(f"probe is {probe!r}; wanted a number of lists, at least 1")
        index = self._index.get()
        if within is None:
            return lambda query: index.candidates(query, probe)
        return lambda query: np.intersect1d(index.candidates(query, probe), within)

    def most_similar_batch(
        self,
        keys: Sequence[Query],
        topn: int | None = 10,
        restrict_vocab: int | None = None,
        *,
        probe: int | None = None,
        rows: Sequence[int] | np.ndarray | None = None,
    ) -> list[list[tuple[Key, float]] | np.ndarray]:
        """Finds the words nearest to each of many keys or vectors; see ``most_similar``."""
        keys = list(keys)
        # All missing keys are reported at once, before any work is done.
        self._key_vectors.check(key for key in keys if isinstance(key, (str, int, np.integer)))
        chosen = self._chosen(probe, rows)
        within = row_range(self._num_searched, restrict_vocab)
        return [self._nearest([key], None, topn, within, chosen) for key in keys]
