"""The search for the rows of a compressed embedding that are nearest to others."""

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
        """Makes the index that ``probe`` needs, from all rows, and keeps it.

        It is written beside the table's file, as ``glove.nnc.ivf``, where ``load`` finds it. A
        table that is in no file has it in memory alone. It needs what refinement needs:
        ``pip install "chainer-nncompress[train]"``.

        Args:
            path: The table's file; None for the one that it was loaded from, if it was.
            lists: The number of lists; None for 4 times the square root of the number of rows.
                With more, a list has fewer rows.

        Raises:
            InputError: There cannot be that many lists.
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
        """Finds the words that are nearest by cosine to a mean of others.

        The mean is of unit vectors, with the negative ones subtracted (Mikolov et al.,
        "Linguistic Regularities in Continuous Space Word Representations", 2013).

        Args:
            positive: Keys, vectors, or pairs of either and a weight.
            negative: The same, with weights of -1; a pair's own weight is taken as it is, as
                gensim takes it.
            topn: The number of words; None: the cosines of all rows instead, float32 ``(n,)``; in
                a table with rows of n-grams, of all words.
            clip_start: The first row to look at.
            clip_end: The row after the last one to look at; None or 0: all to the end.
            restrict_vocab: The number of leading rows to look at, whatever the two before say, as
                in gensim; None or 0: all between those.
            indexer: An index of gensim's, which is refused: ``build_index`` makes this table's.
            probe: The number of lists of the table's index to look at, those nearest to the mean:
                with more of them fewer of the nearest words are missed. None: all rows are looked
                at, and none is missed.
            rows: The rows to look at: numbers in any order, or a truth value for each row; with
                ``probe`` too, those of them that are in the lists. None: all.

        Returns:
            Words and cosines, the nearest first, the given keys left out. There are fewer than
            ``topn`` where no more rows were looked at.

        Raises:
            KeyError: A key is missing.
            InputError: Nothing was given to compare with, or a vector is not of D columns, or
                ``probe`` is given and the table has no index, or that of another table.
        """
        if indexer is not None:
            raise InputError(
                f"an indexer, {type(indexer).__name__}, was given; wanted this table's own, which "
                "build_index makes and probe= uses"
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
        """Searches, as ``most_similar`` does, among the rows that a function chooses."""
        refuse_parts_of_words(self.subwords)
        if topn is not None:
            return self._similarity.nearest(positive, negative, topn, within, chosen)
        if chosen is not None:
            raise InputError(
                "topn=None is for the cosines of all rows; wanted a number with probe or rows"
            )
        return self._similarity.scores(positive, negative, within)

    def _chosen(
        self, probe: int | None, rows: Sequence[int] | np.ndarray | None
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """Returns what tells the rows to look at for a query; None for all rows."""
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
        """Finds the nearest words of each of many keys or vectors; see ``most_similar``."""
        keys = list(keys)
        # Missing keys are told at once, all of them, and before any work.
        self._key_vectors.check(key for key in keys if isinstance(key, (str, int, np.integer)))
        chosen = self._chosen(probe, rows)
        within = row_range(self._num_searched, restrict_vocab)
        return [self._nearest([key], None, topn, within, chosen) for key in keys]
