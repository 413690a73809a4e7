"""Writing words and decoded rows in the formats of word2vec and GloVe."""

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from nncompress.embedding.decoded_rows import DecodedRows
from nncompress.embedding.keys import Key
from nncompress.embedding.row_attributes import row_attributes
from nncompress.embedding.sharded_table import Table
from nncompress.embedding.subwords import rows_are_parts
from nncompress.errors import InputError
from nncompress.formats.files import atomic_paths, check_output
from nncompress.progress import progress_bar
from nncompress.sources.subword_rows import SubwordRows

_BREAKS = "\t\n\r"
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
_ROWS_AT_ONCE = 4_096


class WordRows(Protocol):
    """The parts of a compressed embedding that are written."""

    table: Table
    extras: dict[str, np.ndarray]
    subwords: SubwordRows | None

    @property
    def has_words(self) -> bool:
        """Whether rows have words."""

    @property
    def index_to_key(self) -> Sequence[Key]:
        """Each row's word, or the row's number if it has none."""

    @property
    def vectors(self) -> DecodedRows:
        """The rows, decoded on demand."""

    def __getitem__(self, keys: Any, /) -> np.ndarray:
        """Returns the vectors of keys."""


class Vectors(Protocol):
    """Vectors, indexed by row numbers."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Returns the vectors of rows, float32 ``(n, D)``."""


def save_word2vec_format(
    embedding: WordRows,
    fname: str | os.PathLike,
    fvocab: str | os.PathLike | None = None,
    binary: bool = False,
    total_vec: int | None = None,
    write_header: bool = True,
    prefix: str = "",
    append: bool = False,
    sort_attr: str = "count",
) -> None:
    """Writes words, or row numbers if there are none, and decoded rows in word2vec's format.

    For a classifier whose words are means of several rows, the words' vectors are written, as
    fastText does. Numbers in text have as many digits as float32 needs. Files appear whole or not
    at all.

    Args:
        embedding: The table.
        fname: The file.
        fvocab: A file for the words and their ``sort_attr``, in the same directory; None for none.
        binary: Whether to write numbers as in memory instead of as text.
        total_vec: The number of rows to state on the first line; None for the number written.
        write_header: Whether to write a first line with the numbers of rows and columns, which
            GloVe's files do not have.
        prefix: A string to put before each word.
        append: Whether to add rows to existing files, which requires ``write_header=False`` unless
            they are empty.
        sort_attr: The name of the array in ``extras`` to sort rows by, largest first. The default,
            ``"count"``, may be missing: rows then stay in order.

    Raises:
        InputError: The format cannot hold a word, there is no such array, or settings contradict
            each other.
        OutputError: A file cannot be written.
    """
    path = Path(fname)
    rows, words = named_rows(embedding)
    values = _attribute(embedding, sort_attr, fvocab is not None)
    if values is not None:
        order = np.argsort(-values[rows].astype(np.float64), kind="stable")
        rows, words = rows[order], [words[place] for place in order.tolist()]
    words = [prefix + word for word in words]
    check_output(path)
    refuse_words_file(path, words, " " if write_header or binary else "")
    total = len(rows) if total_vec is None else total_vec
    if isinstance(total, bool) or not isinstance(total, (int, np.integer)) or total < 0:
        raise InputError(f"total_vec is {total_vec!r}; wanted a number of rows")
    if append and write_header and path.exists() and path.stat().st_size:
        raise InputError(
            f"append=True would put a second first line into {path}; wanted write_header=False too"
        )
    paths = [path]
    if fvocab is not None:
        paths.append(Path(fvocab))
        check_output(fvocab)
        if os.path.realpath(fvocab) == os.path.realpath(path):
            raise InputError(f"fvocab is {fvocab}, the file for the rows; wanted another name")
    with atomic_paths(*paths) as temporaries:
        for final, temporary in zip(paths, temporaries, strict=True):
            if append and final.exists():
                shutil.copyfile(final, temporary)
        if values is not None:
            for temporary in temporaries[1:]:
                with temporary.open("ab") as file:
                    pairs = zip(words, values[rows].tolist(), strict=True)
                    file.writelines(f"{word} {value}\n".encode() for word, value in pairs)
        with temporaries[0].open("ab") as file:
            header = f"{total} {embedding.table.dim}\n" if write_header else ""
            write_rows(file, header, vectors_of(embedding), rows, words, binary=binary)


def vectors_of(embedding: WordRows) -> Vectors:
    """Returns the vectors to write for rows: those of their words."""
    return _WordVectors(embedding) if rows_are_parts(embedding.subwords) else embedding.vectors


class _WordVectors:
    """The vectors of words that are means of several rows, indexed by row numbers."""

    def __init__(self, embedding: WordRows) -> None:
        self._embedding = embedding

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        keys = self._embedding.index_to_key
        return self._embedding[[keys[row] for row in rows.tolist()]]


def named_rows(embedding: WordRows) -> tuple[np.ndarray, list[str]]:
    """Returns the rows to write and their words, or their numbers in a table without words.

    If only some rows have a word, the others are left out, with a warning.
    """
    num_rows = embedding.table.num_rows
    if not embedding.has_words:
        return np.arange(num_rows), [str(row) for row in range(num_rows)]
    named = [(r, key) for r, key in enumerate(embedding.index_to_key) if isinstance(key, str)]
    if wordless := num_rows - len(named):
        rows, are = ("row", "is") if wordless == 1 else ("rows", "are")
        warnings.warn(f"{wordless} {rows} without a word {are} left out", stacklevel=3)
    return np.array([row for row, _ in named], dtype=np.int64), [word for _, word in named]


def refuse_words_file(path: Path, words: list[str], characters: str) -> None:
    """Refuses the name of a compressed file, and words that the format cannot hold.

    Args:
        path: The file of words and rows.
        words: The words.
        characters: The characters that they must not contain, besides tabs and line breaks.

    Raises:
        InputError: The name is that of a compressed file, or a word has such a character.
    """
    if path.suffix in _COMPRESSED:
        raise InputError(
            f"{path} would not be compressed, though its name says so; leave out {path.suffix}"
        )
    what = "word2vec" if characters else "glove"
    refuse_words(words, _BREAKS + characters, what, "npy or gensim")


def refuse_words(words: list[str], characters: str, what: str, others: str) -> None:
    """Refuses words that contain certain characters.

    Args:
        words: The words.
        characters: The characters.
        what: The name, for messages, of the format that cannot hold them.
        others: The names of formats that can.

    Raises:
        InputError: A word has one of them.
    """
    for word in words:
        if any(character in word for character in characters):
            raise InputError(
                f"the word {word!r} has a character that {what} cannot hold (one of "
                f"{', '.join(map(repr, characters))}); export to {others} instead"
            )


def write_rows(
    file: BinaryIO,
    header: str,
    vectors: Vectors,
    rows: np.ndarray,
    words: list[str],
    *,
    binary: bool,
) -> None:
    """Writes a first line, then words and rows, one per line.

    Args:
        file: The file.
        header: The first line, or an empty string.
        vectors: The vectors, indexed by row numbers.
        rows: The row numbers, int64.
        words: The word of each row.
        binary: Whether to write numbers as in memory; otherwise as the shortest text that gives
            the same float32 when read back.
    """
    file.write(header.encode())
    for names, block in blocks_of(vectors, rows, words):
        if binary:
            lines = [n.encode() + b" " + v.tobytes() for n, v in zip(names, block, strict=True)]
        else:
            with np.printoptions(legacy=False):  # with it, str of float32 may lack digits
                lines = [
                    f"{name} {' '.join(map(str, vector))}".encode()
                    for name, vector in zip(names, block, strict=True)
                ]
        file.write(b"\n".join([*lines, b""]))


def blocks_of(
    vectors: Vectors, rows: np.ndarray, words: list[str]
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yields words and rows in blocks, float32 ``(n, D)``."""
    with progress_bar(len(rows), "Writing rows") as bar:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            block = slice(start, start + _ROWS_AT_ONCE)
            yield words[block], vectors[rows[block]]
            bar.update(len(rows[block]))


def _attribute(embedding: WordRows, name: str, wanted: bool) -> np.ndarray | None:
    """Returns the attribute to sort rows by; None if the default one is missing."""
    values = row_attributes(embedding.extras, embedding.table.num_rows).get(name)
    if values is None and (wanted or name != "count"):
        raise InputError(
            f"the table has no {name!r} beside its rows; set emb.extras[{name!r}] to an array "
            "with a number for each row"
        )
    if values is not None and (values.ndim != 1 or values.dtype.kind not in "iuf"):
        raise InputError(
            f"{name!r} has type {values.dtype} and shape {values.shape}; wanted a number for "
            "each row to sort them by"
        )
    return values
