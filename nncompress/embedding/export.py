"""Writing a compressed embedding's rows, decoded, in formats that others read."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import InputError
from nncompress.formats.files import (
    atomic_path,
    atomic_paths,
    check_output,
    refuse_replacing,
)
from nncompress.formats.npy import write_npy
from nncompress.progress import progress_bar
from nncompress.sources import write_vocabulary

FORMATS = ("word2vec", "glove", "npy", "gensim")
_BREAKS = "\t\n\r"
_GENSIM_BESIDE = 10 << 20  # numbers from which on gensim puts vectors into a file beside


def export(embedding: CompressedEmbedding, path: str | os.PathLike, to: str) -> list[Path]:
    """Writes a table.

    Args:
        embedding: The table.
        path: The file. In word2vec's format it is binary if its name ends in ``.bin``, and text
            otherwise. Beside a ``.npy`` file the words go to one that ends in ``.word``.
        to: ``"word2vec"``, ``"glove"``, ``"npy"``, or ``"gensim"``: what ``KeyedVectors.load``
            reads. gensim puts a large table's vectors beside the file.

    Returns:
        The files that were written. They appear together.

    Raises:
        InputError: The format is another, or cannot hold a word; or a file beside ``path`` that
            would be written is there already and holds something else: only what is named is
            replaced.
        ImportError: gensim is not installed.
    """
    path = Path(path)
    if to not in FORMATS:
        raise InputError(f"no format {to!r}; wanted one of {', '.join(FORMATS)}")
    check_output(path)
    if to == "npy":
        return _export_npy(embedding, path)
    if to == "gensim":
        return _export_gensim(embedding, path)
    binary = to == "word2vec" and path.suffix == ".bin"
    rows, words = _named_rows(embedding)
    _refuse_words(words, _BREAKS + " " if to == "word2vec" else _BREAKS, to)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if to == "word2vec":
            file.write(f"{len(rows)} {embedding.vector_size}\n".encode())
        for names, vectors in _blocks(embedding, rows, words):
            if binary:
                lines = [
                    n.encode() + b" " + v.tobytes() for n, v in zip(names, vectors, strict=True)
                ]
            else:
                lines = [
                    f"{name} {' '.join(map(str, vector))}".encode()
                    for name, vector in zip(names, vectors.tolist(), strict=True)
                ]
            file.write(b"\n".join([*lines, b""]))
    return [path]


def _export_npy(embedding: CompressedEmbedding, path: Path) -> list[Path]:
    if path.suffix != ".npy":
        raise InputError(f"{path} does not end in .npy; wanted a name that does")
    words = []
    if embedding.has_words:
        words = [key if isinstance(key, str) else "" for key in embedding.index_to_key]
        while words and words[-1] == "" and "" not in embedding:
            words.pop()
        _refuse_words(words, "\n", "a .word file")
    rows = np.arange(embedding.table.num_rows)
    beside = path.with_suffix(".word")
    if beside.exists() and not embedding.has_words:
        raise InputError(
            f"{beside} is there, and would be taken for the words of this table, which has none; "
            "move it away, or name another output"
        )
    paths = [path, beside] if embedding.has_words else [path]
    with atomic_paths(*paths) as (temporary, *others):
        for words_file in others:  # before the long work: another table's words are refused
            write_vocabulary(words_file, words)
            refuse_replacing(words_file, beside)
        blocks = _blocks(embedding, rows, [""] * len(rows))
        write_npy(temporary, (([b""] * len(part), part) for _, part in blocks), lambda _: None)
        for words_file in others:  # they may have been written meanwhile
            refuse_replacing(words_file, beside)
    return paths


def _export_gensim(embedding: CompressedEmbedding, path: Path) -> list[Path]:
    """Writes what gensim makes, one file or two."""
    keyed = embedding.to_gensim()
    beside = path.with_name(f"{path.name}.vectors.npy")
    is_large = keyed.vectors.size >= _GENSIM_BESIDE
    paths = [path, beside] if is_large else [path]
    with atomic_paths(*paths) as (temporary, *large):
        keyed.save(str(temporary), separately=["vectors"] if is_large else [])
        for vectors in large:
            refuse_replacing(vectors, beside)
    return paths


def _named_rows(embedding: CompressedEmbedding) -> tuple[np.ndarray, list[str]]:
    """Returns the rows that are written and their words; without any words, their numbers."""
    num_rows = embedding.table.num_rows
    if not embedding.has_words:
        return np.arange(num_rows), [str(row) for row in range(num_rows)]
    named = [(r, key) for r, key in enumerate(embedding.index_to_key) if isinstance(key, str)]
    if len(named) < num_rows:
        warnings.warn(f"{num_rows - len(named)} rows without a word are left out", stacklevel=3)
    return np.array([row for row, _ in named], dtype=np.int64), [word for _, word in named]


def _refuse_words(words: list[str], characters: str, what: str) -> None:
    for word in words:
        if any(character in word for character in characters):
            raise InputError(
                f"the word {word!r} holds a character that {what} cannot; wanted none of "
                f"{', '.join(map(repr, characters))}, so export to npy or gensim"
            )


def _blocks(
    embedding: CompressedEmbedding, rows: np.ndarray, words: list[str]
) -> Iterator[tuple[list[str], np.ndarray]]:
    with progress_bar(len(rows), "Writing rows") as bar:
        for start in range(0, len(rows), 4_096):
            block = slice(start, start + 4_096)
            yield words[block], embedding.vectors[rows[block]]
            bar.update(len(rows[block]))
