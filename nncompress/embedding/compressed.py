"""The compressed embedding: used as the table was, in a fraction of its memory."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.nearest import largest
from nncompress.embedding.nnc_file import Contents, read_nnc, write_nnc
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.embedding.words import Key, RowKeys, WordRows
from nncompress.errors import InputError
from nncompress.sources.vocabulary import check_words

if TYPE_CHECKING:
    import chainer
    import faiss
    import gensim
    import torch

Query = Key | np.ndarray | tuple[Key | np.ndarray, float]


class CompressedEmbedding:
    """An embedding matrix as codes and a codebook, read like a mapping and like gensim 4.

    Keys are words, and the numbers of rows: ``emb["king"]``, ``emb[3]``. A row is decoded when it
    is asked for, and the whole table never is, except by ``to_numpy`` and ``to_gensim``. Rows may
    be without a word: they are reached by number, and are not among the nearest words. A table
    without any words has the rows' numbers for keys.

    Instances are made by ``from_codes``, ``load``, ``EmbeddingCompressor.to_embedding`` and
    ``nncompress.compress``. Where Numba is installed it is used, once NumPy's code has worked for
    half a second; results are the same bit for bit.

    Attributes:
        table: Codes and codebook.
        provenance: How the table was made: recipe, distortion, the source's shape and more.

    .. admonition:: Example

        >>> emb = CompressedEmbedding.load("glove.nnc")
        >>> emb["king"].shape
        (50,)
        >>> emb.most_similar("king", topn=2)
        [('prince', 0.82), ('queen', 0.78)]
    """

    def __init__(
        self,
        table: CodeTable,
        vocabulary: Vocabulary | None,
        provenance: Mapping[str, object] | None = None,
    ) -> None:
        self.table = table
        self.provenance = dict(provenance or {})
        self._vocabulary = vocabulary
        self._wordless: np.ndarray | None = None

    @classmethod
    def from_codes(
        cls,
        codes: np.ndarray,
        codebook: np.ndarray,
        words: Sequence[str | None] | None = None,
        *,
        provenance: Mapping[str, object] | None = None,
    ) -> "CompressedEmbedding":
        """Makes a table of codes.

        Args:
            codes: Integers in ``0 ... K-1``, ``(N, M)``.
            codebook: ``(M*K, D)``; group m is rows ``m*K ... m*K+K-1``. It is kept in float16 if
                that is its type, and in float32 otherwise.
            words: The word of each row, in row order, or None for a row without one. Of rows that
                share a word the first has it, which a warning says; rows past the last word have
                none.
            provenance: JSON values by name, to be kept in the file.

        Raises:
            InputError: Shapes, types or values do not fit, or a word is no valid string.
        """
        return cls.of_table(CodeTable.of_codes(codes, codebook), words, provenance)

    @classmethod
    def of_table(
        cls,
        table: CodeTable,
        words: Sequence[str | None] | None,
        provenance: Mapping[str, object] | None = None,
    ) -> "CompressedEmbedding":
        """Makes a table of packed codes; see ``from_codes``."""
        vocabulary = None
        if words is not None:
            vocabulary = Vocabulary.of_words(words, table.num_rows)
            named = sum(word is not None for word in words)
            if more := named - len(vocabulary):
                warnings.warn(
                    f"{more} rows have a word that an earlier row has; the first row of each word "
                    "has it, and the others are reached by number",
                    stacklevel=2,
                )
        return cls(table, vocabulary, provenance)

    @classmethod
    def load(cls, path: str | os.PathLike, *, verify: bool = False) -> "CompressedEmbedding":
        """Opens a file that ``save`` wrote. It is mapped, and nothing in it is read ahead.

        Args:
            path: The file.
            verify: Whether to read all of it and compare its SHA-256 sums.

        Raises:
            InputError: There is no such file.
            FormatError: It is another kind of file, not complete, or altered.
        """
        contents = read_nnc(path, verify=verify)
        return cls(contents.table, contents.vocabulary, contents.provenance)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the table to a file, whose format docs/file-format.md describes."""
        write_nnc(path, Contents(self.table, self._vocabulary, self.provenance))

    def __repr__(self) -> str:
        table = self.table
        return (
            f"<CompressedEmbedding of {table.num_rows} rows, {len(self)} keys, {table.dim} "
            f"columns: M={table.num_codebooks}, K={table.num_codewords}>"
        )

    # Keys

    def __len__(self) -> int:
        """How many words there are; without words, how many rows."""
        return len(self.key_to_index)

    def __iter__(self) -> Iterator[Key]:
        """Goes through the words in their original order."""
        return iter(self.key_to_index)

    def __contains__(self, key: object) -> bool:
        return self._row_or_none(key) is not None

    @property
    def has_words(self) -> bool:
        """Whether rows have words."""
        return self._vocabulary is not None

    @property
    def vector_size(self) -> int:
        """D, the number of columns."""
        return self.table.dim

    @property
    def index_to_key(self) -> Sequence[Key]:
        """Each row's word, or its number if it has none."""
        return RowKeys(self._vocabulary, self.table.num_rows)

    @property
    def key_to_index(self) -> Mapping[Key, int]:
        """Each word's row."""
        return WordRows(self._vocabulary, self.table.num_rows)

    def get_index(self, key: Key) -> int:
        """Returns the row of a word, or of a row number.

        Raises:
            KeyError: There is no such word or row.
        """
        return self._rows([key])[0]

    def _row_or_none(self, key: object) -> int | None:
        if isinstance(key, str):
            row = -1 if self._vocabulary is None else self._vocabulary.find(key)
            return None if row < 0 else row
        if isinstance(key, (int, np.integer)) and 0 <= key < self.table.num_rows:
            return int(key)
        return None

    def _rows(self, keys: Iterable[Key]) -> list[int]:
        keys = list(keys)
        rows = [self._row_or_none(key) for key in keys]
        missing = [key for key, row in zip(keys, rows, strict=True) if row is None]
        if missing:
            named = ", ".join(map(repr, missing[:10])) + (", ..." if len(missing) > 10 else "")
            raise KeyError(
                f"{named}: not among the {len(self)} keys of this table; wanted a word of it, or "
                f"a row number from 0 to {self.table.num_rows - 1}"
            )
        return rows

    # Vectors

    def __getitem__(self, key: Key | Sequence[Key]) -> np.ndarray:
        """Returns the vector of a key, float32 ``(D,)``, or of each key of a list, ``(n, D)``.

        Raises:
            KeyError: A key is missing; the message names each that is.
        """
        if isinstance(key, (str, int, np.integer)):
            row = self._row_or_none(key)
            return self.table.vector(self._rows([key])[0] if row is None else row)
        return self.table.decode(np.array(self._rows(key), dtype=np.int64))

    def get(self, key: Key, default: object = None) -> np.ndarray | object:
        """Returns the vector of a key, or a default."""
        row = self._row_or_none(key)
        return default if row is None else self.table.vector(row)

    def get_vector(self, key: Key, norm: bool = False) -> np.ndarray:
        """Returns the vector of a key, float32 ``(D,)``.

        Args:
            key: A word or a row number.
            norm: Whether to divide it by its length.

        Raises:
            KeyError: The key is missing.
        """
        return _unit(self[key]) if norm else self[key]

    def vectors(self, ids: np.ndarray | Sequence[int]) -> np.ndarray:
        """Returns rows by number, float32: ``(D,)`` more than the shape of ``ids``.

        Raises:
            IndexError: A number is not below the number of rows, or is negative.
        """
        ids = np.asarray(ids)
        if ids.size and (ids.dtype.kind not in "ui"):
            raise IndexError(f"row numbers of type {ids.dtype}; wanted integers")
        rows = ids.reshape(-1).astype(np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.table.num_rows):
            bad = rows.min() if rows.min() < 0 else rows.max()
            raise IndexError(f"there is no row {bad}; wanted 0 to {self.table.num_rows - 1}")
        return self.table.decode(rows).reshape(*ids.shape, self.vector_size)

    def vectors_for_all(self, keys: Iterable[Key]) -> "CompressedEmbedding":
        """Returns a table of these keys alone, each once, in the order given.

        Rows are numbered anew.

        Args:
            keys: Words, or row numbers; those that are missing are left out.

        Raises:
            InputError: None of them is in the table.
        """
        keys = [key for key in dict.fromkeys(keys) if key in self]
        if not keys:
            raise InputError("none of the keys is in the table; wanted at least one that is")
        rows = self._rows(keys)
        words = [key if isinstance(key, str) else None for key in keys]
        table = CodeTable(self.table.packed[rows], self.table.codebook, self.table.num_codebooks)
        vocabulary = Vocabulary.of_words(words, len(rows)) if self.has_words else None
        return CompressedEmbedding(table, vocabulary, self._without_measures())

    def _without_measures(self) -> dict[str, object]:
        """Returns what is true of other rows with the same codebook too."""
        measures = ("loss", "mean_distance", "mean_cosine", "source_shape")
        return {name: v for name, v in self.provenance.items() if name not in measures}

    def add(
        self, words: Sequence[str | None] | None, vectors: np.ndarray
    ) -> "CompressedEmbedding":
        """Returns a table with more rows, encoded with the same codebook.

        It needs what refinement needs: ``pip install "chainer-nncompress[train]"``.

        Args:
            words: The new rows' words; None where the table has none.
            vectors: ``(n, D)``.

        Raises:
            InputError: A word is in the table already, or the vectors do not fit.
            ImportError: Numba or threadpoolctl is not installed.
        """
        from nncompress.refinement.refine import improve_codes
        from nncompress.sources import EmbeddingMatrix

        unit_rows = self.provenance.get("objective") == "cosine"
        matrix = EmbeddingMatrix(vectors, "the array of new rows", unit_rows=unit_rows)
        table = self.table
        words = None if words is None else list(words)
        if matrix.dim != table.dim:
            raise InputError(f"new rows of {matrix.dim} columns; the table has {table.dim}")
        if (words is None) == self.has_words or len(words or matrix) != len(matrix):
            wanted = f"{len(matrix)} words" if self.has_words else "None: the table has no words"
            raise InputError(
                f"words for {len(matrix)} new rows are {words!r:.60}; wanted {wanted}"
            )
        check_words(words or [])
        present = [word for word in words or () if word is not None and word in self]
        if present:
            raise InputError(f"{present[0]!r} is in the table already; leave it out")
        start = np.zeros((len(matrix), table.num_codebooks), dtype=table.codes(slice(0)).dtype)
        codes = improve_codes(matrix, start, table.codebook.astype(np.float32))
        packed = np.concatenate([table.packed, table.packing.pack(codes)])
        both = None if words is None else [*self._vocabulary.words(), *words]
        larger = CodeTable(packed, table.codebook, table.num_codebooks)
        return CompressedEmbedding.of_table(larger, both, self._without_measures())

    # Similarity

    def similarity(self, one: Key, other: Key) -> float:
        """Returns the cosine between the vectors of two keys.

        Raises:
            KeyError: A key is missing.
        """
        first, second = map(_unit, self[[one, other]])
        return float(first @ second)

    def distance(self, one: Key, other: Key) -> float:
        """Returns 1 minus the similarity of two keys."""
        return 1.0 - self.similarity(one, other)

    def most_similar(
        self,
        positive: Query | Sequence[Query] | None = None,
        negative: Query | Sequence[Query] | None = None,
        topn: int | None = 10,
        restrict_vocab: int | None = None,
    ) -> list[tuple[Key, float]] | np.ndarray:
        """Finds the words that are nearest by cosine to a mean of others.

        The mean is of unit vectors, with the negative ones subtracted (Mikolov et al.,
        "Linguistic Regularities in Continuous Space Word Representations", 2013).

        Args:
            positive: Keys, vectors, or pairs of either and a weight.
            negative: The same, with weights of -1; a pair's own weight is taken as it is, as
                gensim takes it.
            topn: How many words; None: the cosines of all rows instead, float32 ``(n,)``.
            restrict_vocab: How many leading rows to look at; None or 0: all.

        Returns:
            Words and cosines, the nearest first, the given keys left out.

        Raises:
            KeyError: A key is missing.
            InputError: Nothing was given to compare with, or a vector is not of D columns.
        """
        query, given = self._mean(positive, negative)
        return self._nearest(query, given, topn, restrict_vocab)

    def most_similar_batch(
        self, keys: Sequence[Query], topn: int = 10, restrict_vocab: int | None = None
    ) -> list[list[tuple[Key, float]]]:
        """Finds the nearest words of each of many keys or vectors; see ``most_similar``."""
        keys = list(keys)
        self._rows(key for key in keys if isinstance(key, (str, int, np.integer)))
        return [self.most_similar([key], None, topn, restrict_vocab) for key in keys]

    def similar_by_vector(
        self, vector: np.ndarray, topn: int | None = 10, restrict_vocab: int | None = None
    ) -> list[tuple[Key, float]] | np.ndarray:
        """Finds the words that are nearest to a vector ``(D,)``; see ``most_similar``."""
        return self.most_similar([np.asarray(vector)], None, topn, restrict_vocab)

    def doesnt_match(self, words: Iterable[Key]) -> Key:
        """Returns the word that is farthest from the mean of all; missing words are left out.

        Raises:
            InputError: None of the words is in the table.
        """
        words = list(words)
        known = [word for word in words if word in self]
        if not known:
            raise InputError(f"none of {words!r} is in the table; wanted at least one that is")
        if len(known) < len(words):
            missing = [word for word in words if word not in self]
            warnings.warn(f"{missing!r} are not in the table and left out", stacklevel=2)
        units = np.array([_unit(row) for row in self[known]])
        return known[int(np.argmin(units @ _unit(units.mean(axis=0))))]

    def evaluate_word_pairs(
        self,
        pairs: str | os.PathLike,
        delimiter: str = "\t",
        encoding: str = "utf8",
        restrict_vocab: int | None = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
    ) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Compares similarities with people's; see ``word_tests.evaluate_word_pairs``."""
        from nncompress.embedding.word_tests import evaluate_word_pairs

        return evaluate_word_pairs(
            self, pairs, delimiter, encoding, restrict_vocab, case_insensitive, dummy4unknown
        )

    def evaluate_word_analogies(
        self,
        analogies: str | os.PathLike,
        restrict_vocab: int | None = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
    ) -> tuple[float, list[dict[str, object]]]:
        """Answers analogy questions; see ``word_tests.evaluate_word_analogies``."""
        from nncompress.embedding.word_tests import evaluate_word_analogies

        return evaluate_word_analogies(
            self, analogies, restrict_vocab, case_insensitive, dummy4unknown
        )

    def _mean(
        self,
        positive: Query | Sequence[Query] | None,
        negative: Query | Sequence[Query] | None,
    ) -> tuple[np.ndarray, list[int]]:
        """Returns the query, a unit vector, and the rows of the keys it is made of."""
        total = np.zeros(self.vector_size)
        given: list[int] = []
        weighted = [(part, 1.0) for part in _listed(positive)]
        weighted += [(part, -1.0) for part in _listed(negative)]
        if not weighted:
            raise InputError("nothing was given to compare with; wanted a key or a vector")
        for part, weight in weighted:
            if isinstance(part, tuple):
                part, weight = _weighted(part)
            if isinstance(part, (str, int, np.integer)):
                given += self._rows([part])
                vector = _unit(self.table.vector(given[-1]))
            else:
                vector = self._checked_vector(part)
            total += weight * vector
        return _unit(total).astype(np.float32), given

    def _checked_vector(self, vector: np.ndarray) -> np.ndarray:
        vector = np.asarray(vector)
        if vector.dtype.kind not in "iuf" or vector.shape != (self.vector_size,):
            raise InputError(
                f"a vector of type {vector.dtype} and shape {vector.shape} to compare with; "
                f"wanted numbers of shape {(self.vector_size,)}, or a key"
            )
        if not np.isfinite(vector).all():
            raise InputError("a vector to compare with is not finite")
        return vector.astype(np.float64)

    def _nearest(
        self,
        query: np.ndarray,
        given: Sequence[int],
        topn: int | None,
        restrict_vocab: int | None,
    ) -> list[tuple[Key, float]] | np.ndarray:
        if restrict_vocab is not None and restrict_vocab < 0:
            raise InputError(f"restrict_vocab is {restrict_vocab}; wanted a number of rows")
        scores = self.table.cosines(query, restrict_vocab or None)
        if topn is None:
            return scores
        if topn < 1:
            return []
        left_out = [row for row in given if row < len(scores)]
        scores[left_out] = -np.inf
        if self.has_words:
            if self._wordless is None:
                self._wordless = np.flatnonzero(self._vocabulary.positions < 0)
            scores[self._wordless[: np.searchsorted(self._wordless, len(scores))]] = -np.inf
        keys = self.index_to_key
        return [
            (keys[row], float(scores[row]))
            for row in largest(scores, topn).tolist()
            if scores[row] > -np.inf
        ]

    # Bridges

    def to_numpy(self) -> np.ndarray:
        """Returns the whole table, decoded: float32 ``(N, D)``."""
        return self.table.decode(slice(None))

    def to_gensim(self) -> "gensim.models.KeyedVectors":
        """Returns gensim's KeyedVectors of the decoded rows that have a word."""
        from nncompress.embedding.bridges.to_gensim import to_gensim

        return to_gensim(self)

    def to_torch(self, *, trainable: bool = False) -> "torch.nn.Module":
        """Returns a module that stands in the place of ``torch.nn.Embedding``.

        Args:
            trainable: Whether the codebook is trained; codes never are.
        """
        from nncompress.embedding.bridges.to_torch import CompositionalEmbedding

        return CompositionalEmbedding.of(self.table, trainable)

    def to_chainer(self, *, trainable: bool = False) -> "chainer.Link":
        """Returns a link that stands in the place of ``chainer.links.EmbedID``.

        Args:
            trainable: Whether the codebook is trained; codes never are.
        """
        from nncompress.embedding.bridges.to_chainer import CompositionalEmbedID

        return CompositionalEmbedID.of(self.table, trainable)

    def to_faiss(self, metric: str = "inner_product") -> "faiss.Index":
        """Returns a faiss index over the same codes and codebook; rows have their numbers.

        Args:
            metric: ``"inner_product"`` or ``"l2"``.

        Raises:
            InputError: The metric is another.
        """
        from nncompress.embedding.bridges.to_faiss import to_faiss

        return to_faiss(self.table, metric)


def _listed(queries: Query | Sequence[Query] | None) -> Sequence[Query]:
    """Returns a list of queries, where one alone may have been given."""
    if queries is None:
        return []
    if isinstance(queries, (str, int, np.integer)):
        return [queries]
    if isinstance(queries, np.ndarray):
        return [queries] if queries.ndim == 1 else list(queries)
    return list(queries)


def _weighted(pair: tuple) -> tuple[Key | np.ndarray, float]:
    """Returns a pair of query and weight."""
    number = (int, float, np.integer, np.floating)
    if len(pair) != 2 or not isinstance(pair[1], number) or not np.isfinite(pair[1]):
        raise InputError(f"{pair!r} to compare with; wanted a pair of a key and a finite weight")
    return pair[0], float(pair[1])


def _unit(vector: np.ndarray) -> np.ndarray:
    """Returns a vector divided by its length; zeros as they are."""
    length = float(np.sqrt(np.einsum("d,d->", vector, vector, dtype=np.float64)))
    return vector / length if length > 0 else vector
