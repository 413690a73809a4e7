"""The compressed embedding, used like the original table in a fraction of its memory."""

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
    """A compressed embedding matrix, read like a mapping and like gensim 4's KeyedVectors.

    Keys are words and row numbers: ``emb["king"]``, ``emb[3]``. Rows are decoded on demand. Only
    ``to_numpy``, ``numpy.asarray``, ``get_normed_vectors`` and ``to_gensim`` decode the whole
    table; the first search of a ``ResidualTable`` goes through all its rows and keeps a sketch of
    them, one byte per column. A row may have no word: it is reached by number, and is never among
    the nearest words. The keys of a table without any words are row numbers.

    To make one, use ``from_codes``, ``from_files``, ``load``, ``EmbeddingCompressor.to_embedding``
    or ``nncompress.compress``. Where Numba is installed, it takes over once NumPy's code has run
    for half a second; results are the same bit for bit, or up to rounding for residuals.

    Attributes:
        table: The compressed rows: a ``CodeTable`` of codes and a codebook, a ``ResidualTable``
            whose rows have a residual stage, or a ``ShardedTable`` of several of either.
        provenance: Facts about how the table was made: recipe, distortion, shape and more.
        extras: Arrays that go with the rows and are kept in the file, by name, such as weights.
        subwords: Which rows belong to character n-grams, from which words without a row get
            their vectors; None for no such rows.

    Examples:
        >>> emb = CompressedEmbedding.load("glove.nnc")
        >>> emb[["king", "queen"]].shape == (2, emb.vector_size)
        True
        >>> emb.most_similar("king", topn=2)
        [('...', 0...), ('...', 0...)]
        >>> "queen" in emb, emb.key_to_index["queen"]
        (True, 1)
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
            codebook: ``(M*K, D)``; group m is rows ``m*K ... m*K+K-1``. float16 is kept as
                float16; other types become float32.
            words: The word of each row, in row order, or None for a row without one. If rows share
                a word, the first one gets it, with a warning; rows past the last word have none.
            provenance: JSON values by name, kept in the file.

        Raises:
            InputError: Shapes, types or values do not match, or a word is not a valid string.
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

        Words and provenance are as in ``from_codes``, and extras as in the attribute.
        """
        return cls(table, vocabulary_of(words, table.num_rows), provenance, extras=extras)

    @classmethod
    def from_files(
        cls,
        codes: str | os.PathLike,
        codebook: str | os.PathLike,
        words: str | os.PathLike | Sequence[str | None] | None = None,
    ) -> "CompressedEmbedding":
        """Reads codes and a codebook written by ``infer_comp.py`` or the authors' code.

        Args:
            codes: A text file, one row per line: a token, a tab and M integers, or M integers.
            codebook: A ``.npy`` file, ``(M*K, D)``.
            words: The words of codes without tokens: a list with None for rows without one, or the
                path of a file with one per line. Surplus words are left out, and if there are too
                few, the last rows have none; a warning says so in either case.

        Returns:
            The table, in memory.

        Raises:
            InputError: A file is missing or of another kind (the message names file and line),
                ``words`` is given although the file has tokens, or ``words`` is empty.
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
        """Opens a file that ``save`` wrote, or a directory of shards.

        If ``build_index`` has written an index beside the table, the first search that needs it
        opens it.

        Files are mapped, and nothing is read in advance. It is safe to replace or remove a mapped
        file. Truncating it, or writing into it, changes the table while it is in use: the
        operating system kills a process that reads past the new end (SIGBUS). Use ``copy`` for a
        file that others may change in place.

        Args:
            path: The file, or the directory.
            mmap: For compatibility with gensim: ``"r"`` or None. The file is mapped in either
                case, unless ``copy`` is set.
            verify: Whether to read the whole table and its index and compare SHA-256 sums.
            copy: Whether to read the whole table into memory instead of mapping it.
            access: ``"memory"`` for tables that end up in memory as they are used; ``"random"``
                for larger ones, whose rows are read at random: a row brings no more than its page
                into memory, and the pages of many rows are requested from the device all at once.
            reader: With ``access="random"``, a function that reads rows in place of mapped pages.
                Given a file, and the offsets and lengths of ranges in it, int64 ``(n,)``, it
                returns their bytes one after the other, uint8.

        Raises:
            InputError: There is no such file, or the settings contradict each other.
            FormatError: The file is of another kind, incomplete, or altered.
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
            f"<CompressedEmbedding of {table.num_rows:,} rows, {len(self):,} keys, {table.dim:,} "
            f"columns: {', '.join(parts)}>"
        )

    @property
    def model(self) -> Model:
        """The model that encodes further rows."""
        if self._origin is not None:
            return self._origin.model
        return Model.of_table(shards_of(self.table)[0], self.provenance)

    # Keys

    @property
    def shard_vocabularies(self) -> list[Vocabulary | None]:
        """The words of each shard's rows; None for a shard without words."""
        words, shards = self._keys.vocabulary, shards_of(self.table)
        if isinstance(words, ShardedVocabulary):
            return words.parts
        return [words] if words is not None else [None] * len(shards)

    def __len__(self) -> int:
        """Returns the number of words; without words, that of rows."""
        return len(self.key_to_index)

    def __iter__(self) -> Iterator[Key]:
        """Iterates over the words in their original order."""
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
        """Each row's word, or the row's number if it has none."""
        return self._keys.index_to_key

    @property
    def key_to_index(self) -> Mapping[Key, int]:
        """Each word's row; without words, each row's number."""
        return self._keys.key_to_index

    def get_index(self, key: Key, default: Any = None) -> Any:
        """Returns the row of a word or of a row number, or a default.

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
        """Returns the vector of a key, float32 ``(D,)``, or of each key in a list, ``(n, D)``.

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
        """The rows as a read-only array ``(N, D)``, decoded on demand.

        ``emb.vectors[3]``, ``emb.vectors[1:4]``, ``emb.vectors[[[1, 2], [3, 4]]]`` and
        ``emb.vectors[:, 5]`` are float32 arrays. ``numpy.asarray(emb.vectors)``, arithmetic and
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
        """The length of each row, float32 ``(N,)``, computed on first use and kept."""
        return lengths_of(self.table)

    def fill_norms(self, force: bool = False) -> None:
        """Computes ``norms`` once, whatever ``force`` is: rows do not change."""
        _ = self.norms

    def init_sims(self, replace: bool = False) -> None:
        """Computes ``norms``, as gensim does; ``replace=True`` is refused."""
        self.fill_norms()
        if replace:
            self.unit_normalize_all()

    def vectors_for_all(self, keys: Iterable[Key]) -> "CompressedEmbedding":
        """Returns a table of the given keys only, each once, in the order given.

        Rows are renumbered. The rows of n-grams are all kept, so that words without a row keep
        their vectors.

        Args:
            keys: Words, or row numbers; missing ones are left out.

        Raises:
            InputError: None of them is in the table, or its ``extras`` cannot go with fewer rows.
        """
        keys, extras = chosen_keys(self._keys, keys, self.subwords, self.extras)
        table, words = select_rows(self.table, self._keys, keys)
        return CompressedEmbedding.of_table(table, words, facts_of_others(self.provenance), extras)

    def add(
        self, words: Sequence[str | None] | None, vectors: np.ndarray
    ) -> "CompressedEmbedding":
        """Returns a table with more rows, encoded with the same codebook, axes and tables.

        The new rows are a shard of their own: nothing is copied. This needs what refinement needs:
        ``pip install "chainer-nncompress[compress]"``.

        Args:
            words: The words of the new rows; None where the table has no words.
            vectors: ``(n, D)``.

        Raises:
            InputError: A word is already in the table, the vectors have another shape, or the
                table's ``extras`` cannot go with more rows.
            ImportError: Numba or threadpoolctl is not installed.
        """
        check_growth(self.subwords, self.extras)
        table, all_words = add_rows(self.table, self._keys, words, vectors, self.model)
        facts = facts_of_others(self.provenance)
        return CompressedEmbedding(table, all_words, facts, self._origin, self.extras)

    @cached_property
    def classifier(self) -> TextClassifier:
        """The classifier of texts, for the table of a supervised fastText model.

        Raises:
            InputError: The table is not that of a supervised model.
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

    # Functions of a table with words, and of a compressed embedding, as methods.
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
    """Refuses unknown ways of mapping a file, and mapping together with a copy."""
    if mmap not in (None, "r"):
        raise InputError(
            f"mmap={mmap!r}; wanted None or 'r': the file is mapped in either case, and is not "
            "written to"
        )
    if mmap is not None and copy:
        raise InputError("copy=True and mmap='r' were given; leave one out: a copy is not mapped")
