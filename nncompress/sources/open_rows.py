"""Opening the rows of a table of any size, anywhere, to read them by ranges."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.files import clear_up, scratch_directory
from nncompress.sources.conversion import (
    check_room,
    converted_bytes,
    naming,
    refuse_by_name,
    text_blocks,
    write_matrix,
)
from nncompress.sources.hugging_face import (
    TensorPart,
    find_tensor,
    find_tokens,
    is_safetensors,
    read_tokenizer,
)
from nncompress.sources.matrix import EmbeddingMatrix
from nncompress.sources.places import LocalPlace, Place, place_of
from nncompress.sources.row_checks import as_array, check_limit, checked, divided
from nncompress.sources.row_source import RowSource, RowWords
from nncompress.sources.row_words import LineWords, ListWords, TableWords
from nncompress.sources.stored.array import ArrayRows, MatrixRows
from nncompress.sources.stored.interface import Opened, StoredRows
from nncompress.sources.stored.joined import JoinedRows
from nncompress.sources.stored.npy import npy_rows
from nncompress.sources.stored.npz import SUFFIX as NPZ
from nncompress.sources.stored.npz import npz_rows
from nncompress.sources.stored.parquet import ParquetRows, ParquetWords, has_words, parquet_files
from nncompress.sources.stored.safetensors import tensor_rows
from nncompress.sources.stored.zarr import is_zarr, zarr_rows
from nncompress.sources.streams import locate
from nncompress.sources.subword_sources import is_subwords
from nncompress.sources.vocabulary import LineWriter


@contextmanager
def open_rows(
    source: Any,
    *,
    words: str | os.PathLike | Sequence[str | None] | None = None,
    tensor: str | None = None,
    limit: int | None = None,
    unit_rows: bool = False,
) -> Iterator[RowSource]:
    """Opens the rows of a table, to be read by ranges; no row is read on opening.

    Args:
        source: One of the following.

            - a path, or a URL that fsspec knows (``s3://bucket/table.npy``), of a ``.npy`` file;
              of a ``.safetensors`` file, ``model.safetensors.index.json`` or a Hugging Face
              folder; of a Zarr array or a group that holds it; of a Parquet file with a column of
              vectors, or a directory of such files, joined in the order of their names;
            - a list of such paths and URLs: shards, joined in this order;
            - a path of text or of word2vec's binary format, converted to a temporary file first;
            - an array, an ``EmbeddingMatrix``, gensim's KeyedVectors, or any object with a
              two-dimensional ``shape``, a float ``dtype`` and slices that are arrays.
        words: The words to use instead of those that ``open_table`` finds beside the source: a
            list with None for rows without one; the path or URL of a file with one a line, or of a
            ``tokenizer.json``; or, if the source is Parquet, the name of its column of strings.
        tensor: The name of the tensor in safetensors files, of the column in Parquet, or of the
            array in a Zarr group. In safetensors, ``*`` joins the parts of a tensor:
            ``"embed.shard_*.weight"``.
        limit: Number of leading rows to use.
        unit_rows: True to divide rows by their lengths.

    Yields:
        The rows. They are checked when they are read.

    Raises:
        InputError: The source is missing, of no known kind, or damaged, shards differ in their
            number of columns, a library is missing, or there are more words than rows. A file of
            words is only scanned, and only refused, once they are counted or read.
    """
    column = words if isinstance(words, (str, os.PathLike)) else None
    check_limit(limit)
    with open_stored(source, column, tensor) as found:
        own = found.words
        if isinstance(source, EmbeddingMatrix):
            check_own_settings(source, limit, unit_rows)
        if words is not None and not found.took_words:
            own = _words_of(words)
        rows = TableRows(found.rows, own, limit, unit_rows)
        if isinstance(own, ListWords) and rows.words is not None:
            rows.words.read(0, len(rows.words))  # so that errors in them are raised at once
        yield rows
        del rows, found  # some systems cannot remove a mapped file


class TableRows:
    """A row source: stored rows, checked, with their words.

    Args:
        stored: The rows.
        words: Their words.
        limit: Number of leading rows to use.
        unit_rows: True to divide rows by their lengths.
    """

    def __init__(
        self,
        stored: StoredRows,
        words: RowWords | None = None,
        limit: int | None = None,
        unit_rows: bool = False,
    ) -> None:
        self.name, self.dim, self.unit_rows = stored.name, stored.dim, unit_rows
        self.num_rows = stored.num_rows if limit is None else min(limit, stored.num_rows)
        self.words = (
            None if words is None else TableWords(words, self.name, stored.num_rows, self.num_rows)
        )
        self._stored = stored
        # An EmbeddingMatrix has divided its rows already.
        self._divided = unit_rows and not isinstance(stored, MatrixRows)

    def read(self, first: int, last: int) -> np.ndarray:
        """Returns the rows ``first ... last-1``; see ``RowSource``."""
        if not 0 <= first <= last <= self.num_rows:
            raise IndexError(f"rows {first} to {last} of {self.num_rows}")
        return self._handed_out(self._stored.read(first, last), range(first, last))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows by their numbers; see ``RowSource``."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and not (rows[0] >= 0 and rows[-1] < self.num_rows):
            raise IndexError(f"rows {rows[0]} to {rows[-1]} of {self.num_rows}")
        if (np.diff(rows) < 0).any():
            raise ValueError("row numbers that do not rise; wanted them sorted")
        return self._handed_out(self._stored.take(rows), rows)

    def identity(self) -> dict[str, object]:
        """Returns what identifies the table; see ``RowSource``."""
        return {
            "shape": [self.num_rows, self.dim],
            "unit rows": self.unit_rows,
            "words": None if self.words is None else self.words.identity(),
            "files": self._stored.files(),
        }

    def _handed_out(self, stored: np.ndarray, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        named = getattr(self._stored, "name_at", lambda row: self.name)
        rows = checked(stored, numbers, named)
        return divided(stored) if self._divided else rows


@contextmanager
def open_stored(
    source: Any, column: str | os.PathLike | None, tensor: str | None
) -> Iterator[Opened]:
    """Opens a source's rows as they are stored, and the words that go with them.

    Args:
        source: The source, as for ``open_rows``.
        column: A name that may be that of a column of words.
        tensor: The name of the tensor, array or column.

    Yields:
        The rows and words that were found.
    """
    with ExitStack() as stack:
        if not is_path(source):
            if tensor is not None:
                raise InputError("an array has no named tensors; leave the tensor's name out")
            yield _wrap(source)
        elif isinstance(source, (list, tuple)):
            openers = [_opener(one, column, tensor, stack) for one in source]
            yield _joined(openers, _name_of(source))
        else:
            yield _opener(source, column, tensor, stack)()


def is_path(source: Any) -> bool:
    """Tells whether a source is a path, a URL or a list of these."""
    if isinstance(source, (list, tuple)):
        return bool(source) and all(isinstance(one, (str, os.PathLike)) for one in source)
    return isinstance(source, (str, os.PathLike))


def reads_by_ranges(source: Any) -> bool:
    """Tells whether ``open_rows`` opens a source without reading all of it.

    That is true of everything but text, word2vec's binary format, ``.npz``, and objects in memory.
    """
    if not is_path(source):
        if isinstance(source, (np.ndarray, EmbeddingMatrix)) or is_subwords(source):
            return False
        return hasattr(source, "shape")
    sources = source if isinstance(source, (list, tuple)) else [source]
    return not any(is_text(place_of(one)) or str(one).endswith(NPZ) for one in sources)


def vectors_of(source: Any) -> Any:
    """Returns the vectors of a gensim model, and anything else as it is."""
    own = getattr(source, "wv", None)
    return own if hasattr(own, "index_to_key") and hasattr(own, "vectors") else source


def is_model(place: Place) -> bool:
    """Tells whether a place is a safetensors file, an index of several, or a folder of them."""
    return is_safetensors(place) or (
        place.is_dir() and not is_zarr(place) and not parquet_files(place)
    )


def is_text(place: Place) -> bool:
    """Tells whether a place is text, that is, no container that can be read by ranges."""
    return not (
        place.basename.endswith((".npy", NPZ))
        or is_zarr(place)
        or parquet_files(place)
        or is_model(place)
    )


def read_words(words: str | os.PathLike | Sequence[str | None]) -> list[str | None]:
    """Returns words, or those of a file with one a line or of a ``tokenizer.json``."""
    found = _words_of(words)
    return found.read(0, len(found))


def words_at(place: Place) -> RowWords:
    """Returns the words of a file with one a line, or of a ``tokenizer.json``."""
    if place.basename.endswith(".json"):
        return ListWords(read_tokenizer(place))
    return LineWords(place)


def check_own_settings(matrix: EmbeddingMatrix, limit: int | None, unit_rows: bool) -> None:
    """Refuses settings that an ``EmbeddingMatrix`` does not have itself.

    Raises:
        InputError: They differ from the matrix's own.
    """
    if limit is not None or unit_rows != matrix.unit_rows:
        raise InputError(
            "a limit or an objective was given with an EmbeddingMatrix, which has its own; "
            "make it with limit and unit_rows, or give the array"
        )


def _wrap(source: Any) -> Opened:
    if isinstance(source, EmbeddingMatrix):
        return Opened(MatrixRows(source))
    source = vectors_of(source)
    if is_subwords(source):
        raise InputError(
            "the vectors have n-grams beside their words, which only nncompress.compress keeps; "
            "for the words alone, give their array of vectors"
        )
    if hasattr(source, "index_to_key") and hasattr(source, "vectors"):
        words = ListWords(list(source.index_to_key))
        return Opened(ArrayRows(as_array(source.vectors, "the vectors"), "the vectors"), words)
    sliced = all(hasattr(source, name) for name in ("shape", "dtype", "__getitem__"))
    if sliced and not isinstance(source, np.ndarray):
        name = f"the {type(source).__name__}"
        try:
            return Opened(ArrayRows(source, name))
        except TypeError:  # a type unknown to NumPy
            pass
    return Opened(ArrayRows(as_array(source, "the matrix"), "the matrix"))


def _words_of(words: str | os.PathLike | Sequence[str | None]) -> RowWords:
    if not isinstance(words, (str, os.PathLike)):
        return ListWords(list(words))
    return words_at(place_of(words))


def _opener(
    source: str | os.PathLike, column: str | os.PathLike | None, tensor: str | None,
    stack: ExitStack,
) -> Callable[[], Opened]:  # fmt: skip
    """Returns a function that opens a path or URL, as often as needed.

    Args:
        source: The path or URL.
        column: A name that may be that of a column of words.
        tensor: The name of the tensor, array or column.
        stack: Removes converted files when it is closed.
    """
    place = place_of(source)
    if is_zarr(place):
        return lambda: Opened(zarr_rows(place, tensor))
    if files := parquet_files(place):
        return partial(
            _joined, [partial(_parquet, file, column, tensor) for file in files], place.name
        )
    if is_model(place):
        return partial(_model, place, tensor)
    if place.basename.endswith(NPZ) and isinstance(place, LocalPlace):
        names = None if column is None else os.fspath(column)
        return npz_rows(place, tensor, names, stack.enter_context(scratch_directory()))
    if tensor is not None:
        raise InputError(f"{place.name} has no named tensors; leave the tensor's name out")
    if isinstance(place, LocalPlace):
        refuse_by_name(place.path)
    if place.basename.endswith(".npy"):
        if isinstance(place, LocalPlace):
            clear_up(place.path.parent)
        beside = place.beside(f"{place.basename.removesuffix('.npy')}.word")
        return lambda: Opened(npy_rows(place), LineWords(beside) if beside.is_file() else None)
    if not isinstance(place, LocalPlace):
        raise InputError(
            f"{place.name} is of a kind that cannot be read remotely; wanted .npy, .safetensors, "
            ".parquet or .zarr, so download it first"
        )
    return _convert_text(place.path, stack.enter_context(scratch_directory()))


def _joined(openers: Sequence[Callable[[], Opened]], name: str) -> Opened:
    if len(openers) == 1:
        return openers[0]()
    rows = JoinedRows(openers, name)
    return Opened(rows, rows.words, rows.took_words)


def _model(place: Place, tensor: str | None) -> Opened:
    parts = find_tensor(place, tensor)
    found = _joined([partial(_tensor, part) for part in parts], f"{place.name}, tensor {tensor!r}")
    tokens = find_tokens(place)
    return Opened(found.rows, None if tokens is None else words_at(tokens))


def _tensor(part: TensorPart) -> Opened:
    return Opened(tensor_rows(part))


def _parquet(place: Place, column: str | os.PathLike | None, tensor: str | None) -> Opened:
    rows = ParquetRows(place, tensor)
    if column is None or not has_words(place, os.fspath(column)):
        return Opened(rows)
    if Path(column).exists():
        raise InputError(
            f"{column} is a file and also a column of {place.name}; give the file's whole path, "
            "or rename it"
        )
    return Opened(rows, ParquetWords(place, os.fspath(column)), took_words=True)


def _convert_text(path: Path, scratch: Path) -> Callable[[], Opened]:
    """Converts text or word2vec's binary format to a ``.npy`` and a ``.word`` file."""
    blocks = text_blocks(path)
    matrix, word_file = scratch / "matrix.npy", scratch / "matrix.word"
    check_room(converted_bytes(path), path.name, scratch.parent)
    with naming(matrix), word_file.open("wb") as file:
        words = LineWriter(file)
        write_matrix(blocks, matrix, words.write)
        words.finish()

    def opened() -> Opened:
        rows = npy_rows(LocalPlace(matrix), LocalPlace(locate(path)[0]))
        return Opened(rows, LineWords(LocalPlace(word_file), LocalPlace(path)))

    return opened


def _name_of(sources: Sequence[str | os.PathLike]) -> str:
    more = len(sources) - 1
    return f"{sources[0]} and {more} more shard{'s' * (more > 1)}"
