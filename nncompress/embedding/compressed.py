"""The compressed embedding: used as the table was, in a fraction of its memory."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np

from nncompress.embedding import bridges, comparing, mean_vectors
from nncompress.embedding.access import RangeReader, access_of
from nncompress.embedding.classifier import TextClassifier, predict
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.codes_file import read_codes
from nncompress.embedding.cosmul import most_similar_cosmul
from nncompress.embedding.decoded_rows import DecodedRows
from nncompress.embedding.directory_writing import Origin
from nncompress.embedding.key_vectors import KeyVectors
from nncompress.embedding.keys import SINGLE_KEYS, Key, Keys, Words, vocabulary_of
from nncompress.embedding.model import Model
from nncompress.embedding.provenance import facts_of_others
from nncompress.embedding.read_only import ReadOnly
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.row_attributes import get_vecattr
from nncompress.embedding.row_lengths import get_normed_vectors, lengths_of
from nncompress.embedding.same_codebook import add_rows, select_rows
from nncompress.embedding.searching import Searching
from nncompress.embedding.sharded_table import ShardedTable, Table, shards_of
from nncompress.embedding.sharded_vocabulary import ShardedVocabulary
from nncompress.embedding.similarity import Similarity, unit
from nncompress.embedding.storing import read_embedding, save, save_shards
from nncompress.embedding.subword_extras import from_extras
from nncompress.embedding.subwords import check_growth, chosen_keys, searched_rows
from nncompress.embedding.table_index import TableIndex
from nncompress.embedding.text_encoding import encode
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.embedding.word_movers import wmdistance
from nncompress.embedding.word_tests import evaluate_word_analogies, evaluate_word_pairs
from nncompress.embedding.word_vectors_file import save_word2vec_format
from nncompress.errors import InputError


class CompressedEmbedding(Searching, ReadOnly):
    """An embedding matrix as codes, read like a mapping and like gensim 4.

    Keys are words, and the numbers of rows: ``emb["king"]``, ``emb[3]``. A row is decoded when it
    is asked for, and the whole table never is, except by ``to_numpy``, ``numpy.asarray``,
    ``get_normed_vectors`` and ``to_gensim``; the first search of a ``ResidualTable`` goes through
    all its rows and keeps a sketch of them, a byte a column. Rows may be without a word: they are
    reached by number, and are not among the nearest words. A table without any words has the rows'
    numbers for keys.

    Instances are made by ``from_codes``, ``from_files``, ``load``,
    ``EmbeddingCompressor.to_embedding`` and ``nncompress.compress``. Where Numba is installed it
    is used, once NumPy's code has worked for half a second; results are the same bit for bit,
    those of residuals but for rounding.

    Attributes:
        table: The compressed rows: a ``CodeTable`` of codes and a codebook, a ``ResidualTable``
            whose rows have a residual stage, or a ``ShardedTable`` of several of either.
        provenance: Facts of how the table was made: recipe, distortion, shape and more.
        extras: Arrays that go with the rows and are kept in the file, by name, such as a weight
            for each.
        subwords: What rows are of words' character n-grams, which words without a row are made
            of; None: none are.

    .. admonition:: Example

        >>> emb = CompressedEmbedding.load("glove.nnc")
        >>> emb["king"].shape
        (50,)
        >>> emb.most_similar("king", topn=2)
        [('prince', 0.82), ('queen', 0.78)]
    """

    def __init__(
        self,
        table: Table,
        vocabulary: Words | None,
        provenance: Mapping[str, object] | None = None,
        origin: Origin | None = None,
        extras: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.table: Table = table
        self._origin = origin
        self.provenance = dict(provenance or {})
        self.extras = dict(extras or {})
        self.subwords = from_extras(self.extras, table.num_rows, table.dim)
        self._keys = Keys(vocabulary, table.num_rows)
        self._key_vectors = KeyVectors(table, self._keys, self.subwords)
        searched, self._num_searched = searched_rows(table, self.subwords)
        self._similarity = Similarity(searched, self._keys, self._key_vectors)
        self._index = TableIndex(table)

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
        table: Table,
        words: Sequence[str | None] | None,
        provenance: Mapping[str, object] | None = None,
        extras: Mapping[str, np.ndarray] | None = None,
    ) -> "CompressedEmbedding":
        """Makes a table of compressed rows.

        Words and provenance are those of ``from_codes``, and extras those of the attribute.
        """
        return cls(table, vocabulary_of(words, table.num_rows), provenance, extras=extras)

    @classmethod
    def from_files(
        cls,
        codes: str | os.PathLike,
        codebook: str | os.PathLike,
        words: str | os.PathLike | Sequence[str | None] | None = None,
    ) -> "CompressedEmbedding":
        """Reads the codes and the codebook that ``infer_comp.py`` or the authors' code wrote.

        Args:
            codes: Text, a row a line: a token, a tab and M integers, or M integers alone.
            codebook: A ``.npy`` file, ``(M*K, D)``.
            words: The words of codes without tokens: a list with None for rows without, or the
                path of a file with one a line. More than there are rows are left out, and with
                fewer the last rows have none; a warning says either.

        Raises:
            InputError: A file is missing or something else, which the message says by file and
                line, or there are tokens in the file and ``words`` too, or ``words`` is empty.
        """
        read = read_codes(codes, codebook, words)
        return cls.from_codes(read.codes, read.codebook, read.words, provenance=read.provenance)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        mmap: str | None = None,
        *,
        verify: bool = False,
        copy: bool = False,
        access: str = "memory",
        reader: RangeReader | None = None,
    ) -> "CompressedEmbedding":
        """Opens what ``save`` wrote, or a directory of shards.

        An index of the table, which ``build_index`` has written beside it, is opened by the first
        search that asks for it.

        Files are mapped, and nothing in them is read ahead. A mapped file may be replaced by
        another and removed. Whoever cuts it short, or writes into it, changes the table under its
        reader: the operating system kills a process that reads beyond the new end (SIGBUS). For a
        file that others may change so, there is ``copy``.

        Args:
            path: The file, or the directory.
            mmap: As gensim has it: ``"r"`` for a file that is mapped, as any is unless ``copy``
                says otherwise.
            verify: Whether to read all of it, and of its index, and compare SHA-256 sums.
            copy: Whether to read all of it into memory instead of mapping it.
            access: ``"memory"``, for tables that come to lie in memory as they are used; or
                ``"random"``, for larger ones, of which rows are read here and there: a row brings
                no more than its page into memory, and the pages of many rows are asked of the
                device all at once.
            reader: With ``access="random"``, reads rows in the place of mapped pages: a function
                of a file, the places of ranges in it and their lengths, int64 ``(n,)``, that
                returns their bytes one after the other, uint8.

        Raises:
            InputError: There is no such file, or settings do not go together.
            FormatError: It is another kind of file, not complete, or altered.
        """
        _check_mmap(mmap, copy)
        how = access_of(access, reader, copy)
        embedding = cls(*read_embedding(path, verify=verify, copy=copy, access=how))
        embedding._index = TableIndex(embedding.table, path, verify=verify, copy=copy)
        return embedding

    def __repr__(self) -> str:
        table = self.table
        parts = [f"M={table.num_codebooks}, K={table.num_codewords}"] * (table.num_codebooks > 0)
        first = shards_of(table)[0]
        if isinstance(first, ResidualTable):
            parts.append(f"residuals of {first.residual.row_bytes:.1f} bytes")
        if isinstance(table, ShardedTable):
            parts.append(f"in {len(table.shards)} shards")
        return (
            f"<CompressedEmbedding of {table.num_rows} rows, {len(self)} keys, {table.dim} "
            f"columns: {', '.join(parts)}>"
        )

    @property
    def model(self) -> Model:
        """What further rows are encoded by."""
        if self._origin is not None:
            return self._origin.model
        return Model.of_table(shards_of(self.table)[0], self.provenance)

    # Keys

    @property
    def shard_vocabularies(self) -> list[Vocabulary | None]:
        """The words of each shard's rows; None for one without."""
        words, shards = self._keys.vocabulary, shards_of(self.table)
        if isinstance(words, ShardedVocabulary):
            return words.parts
        return [words] if words is not None else [None] * len(shards)

    def __len__(self) -> int:
        """Counts the words; without words, the rows."""
        return len(self.key_to_index)

    def __iter__(self) -> Iterator[Key]:
        """Goes through the words in their original order."""
        return iter(self.key_to_index)

    def __contains__(self, key: object) -> bool:
        return self._key_vectors.has(key)

    @property
    def has_words(self) -> bool:
        """Whether rows have words."""
        return self._keys.vocabulary is not None

    @property
    def vector_size(self) -> int:
        """D, the number of columns."""
        return self.table.dim

    @property
    def index_to_key(self) -> Sequence[Key]:
        """Each row's word, or its number if it has none."""
        return self._keys.index_to_key

    @property
    def key_to_index(self) -> Mapping[Key, int]:
        """Each word's row; without words, each row's number."""
        return self._keys.key_to_index

    def get_index(self, key: Key, default: Any = None) -> Any:
        """Returns the row of a word, or of a row number, or else a default.

        Raises:
            KeyError: There is no such word or row, and no default.
        """
        row = self._keys.row(key)
        if row is not None:
            return row
        return self._keys.rows([key])[0] if default is None else default

    def has_index_for(self, key: object) -> bool:
        """Tells whether a key has a row."""
        return self._keys.row(key) is not None

    # Vectors

    def __getitem__(self, key: Key | Sequence[Key]) -> np.ndarray:
        """Returns the vector of a key, float32 ``(D,)``, or of each key of a list, ``(n, D)``.

        Raises:
            KeyError: A key is missing; the message names each that is.
        """
        if isinstance(key, SINGLE_KEYS):
            return self._key_vectors.vector(cast(Key, key))
        return self._key_vectors.vectors(key)

    def get(self, key: Key, default: object = None) -> np.ndarray | object:
        """Returns the vector of a key, or a default."""
        return self._key_vectors.vector(key) if self._key_vectors.has(key) else default

    def get_vector(self, key: Key, norm: bool = False) -> np.ndarray:
        """Returns the vector of a key, float32 ``(D,)``.

        Args:
            key: A word or a row number.
            norm: Whether to divide it by its length.

        Raises:
            KeyError: The key is missing.
        """
        return unit(self[key]) if norm else self[key]

    @property
    def vectors(self) -> DecodedRows:
        """The rows as an array ``(N, D)`` would have them, read-only, decoded when asked for.

        ``emb.vectors[3]``, ``emb.vectors[1:4]``, ``emb.vectors[[[1, 2], [3, 4]]]`` and
        ``emb.vectors[:, 5]`` are float32 arrays; ``numpy.asarray(emb.vectors)``, arithmetic and
        methods such as ``mean`` decode the whole table.
        """
        return DecodedRows(self.table)

    def __array__(
        self, dtype: np.dtype | type | None = None, copy: bool | None = None
    ) -> np.ndarray:
        """Decodes the whole table, ``(N, D)``, as ``numpy.asarray(emb.vectors)`` does."""
        return self.vectors.__array__(dtype, copy)

    @cached_property
    def norms(self) -> np.ndarray:
        """The length of each row, float32 ``(N,)``, computed when first needed and kept."""
        return lengths_of(self.table)

    def fill_norms(self, force: bool = False) -> None:
        """Computes ``norms``, once, whatever ``force`` is: rows do not change."""
        _ = self.norms

    def init_sims(self, replace: bool = False) -> None:
        """Computes ``norms``, as gensim does; ``replace`` is refused by ``unit_normalize_all``."""
        self.fill_norms()
        if replace:
            self.unit_normalize_all()

    def vectors_for_all(self, keys: Iterable[Key]) -> "CompressedEmbedding":
        """Returns a table of these keys alone, each once, in the order given.

        Rows are numbered anew. The rows of n-grams all stay, so that words without a row are what
        they were.

        Args:
            keys: Words, or row numbers; those that are missing are left out.

        Raises:
            InputError: None of them is in the table, or its ``extras`` are not for other rows.
        """
        keys, extras = chosen_keys(self._keys, keys, self.subwords, self.extras)
        table, words = select_rows(self.table, self._keys, keys)
        return CompressedEmbedding.of_table(table, words, facts_of_others(self.provenance), extras)

    def add(
        self, words: Sequence[str | None] | None, vectors: np.ndarray
    ) -> "CompressedEmbedding":
        """Returns a table with more rows, encoded with the same codebook, axes and tables.

        They are a shard of their own: nothing of the others is copied. It needs what refinement
        needs: ``pip install "chainer-nncompress[train]"``.

        Args:
            words: The new rows' words; None where the table has none.
            vectors: ``(n, D)``.

        Raises:
            InputError: A word is in the table already, or the vectors do not fit, or the table's
                ``extras`` are not for more rows.
            ImportError: Numba or threadpoolctl is not installed.
        """
        check_growth(self.subwords, self.extras)
        table, all_words = add_rows(self.table, self._keys, words, vectors, self.model)
        facts = facts_of_others(self.provenance)
        return CompressedEmbedding(table, all_words, facts, self._origin, self.extras)

    @cached_property
    def classifier(self) -> TextClassifier:
        """What tells labels of texts, where the table is of a supervised fastText model.

        Raises:
            InputError: It is of another.
        """
        return TextClassifier(self.table, self._keys, self.subwords)

    # Similarity

    def similarity(self, one: Key, other: Key) -> float:
        """Returns the cosine between the vectors of two keys.

        Raises:
            KeyError: A key is missing.
        """
        return self._similarity.cosine(one, other)

    def distance(self, one: Key, other: Key) -> float:
        """Returns 1 minus the similarity of two keys."""
        return 1.0 - self.similarity(one, other)

    # Functions of a table with words, and of a compressed embedding, which are methods here.
    save = save
    save_shards = save_shards
    encode = encode
    predict = predict
    similar_by_key = similar_by_word = comparing.similar_by_key
    similar_by_vector = comparing.similar_by_vector
    most_similar_cosmul = most_similar_cosmul
    most_similar_to_given = comparing.most_similar_to_given
    get_mean_vector = mean_vectors.get_mean_vector
    n_similarity = mean_vectors.n_similarity
    distances = comparing.distances
    closer_than = words_closer_than = comparing.closer_than
    rank = comparing.rank
    rank_by_centrality = mean_vectors.rank_by_centrality
    doesnt_match = mean_vectors.doesnt_match
    relative_cosine_similarity = comparing.relative_cosine_similarity
    cosine_similarities = staticmethod(comparing.cosine_similarities)
    wmdistance = wmdistance
    get_normed_vectors = get_normed_vectors
    get_vecattr = get_vecattr
    save_word2vec_format = save_word2vec_format
    evaluate_word_pairs = evaluate_word_pairs
    evaluate_word_analogies = evaluate_word_analogies
    to_numpy = bridges.to_numpy
    to_gensim = bridges.to_gensim
    to_torch = bridges.to_torch
    to_chainer = bridges.to_chainer
    to_faiss = bridges.to_faiss


def _check_mmap(mmap: str | None, copy: bool) -> None:
    """Refuses ways of mapping a file that are not there, or with a copy."""
    if mmap not in (None, "r"):
        raise InputError(
            f"mmap={mmap!r}; wanted None or 'r': the file is mapped in either case, and is not "
            "written to"
        )
    if mmap is not None and copy:
        raise InputError("copy=True and mmap='r' were given; what is copied is not mapped")
