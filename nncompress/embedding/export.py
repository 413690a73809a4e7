"""Writing decoded rows in formats that other programs read."""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.subwords import refuse_parts_of_words
from nncompress.embedding.word_vectors_file import (
    blocks_of,
    named_rows,
    refuse_words,
    refuse_words_file,
    vectors_of,
    write_rows,
)
from nncompress.errors import InputError
from nncompress.formats.files import (
    atomic_path,
    atomic_paths,
    check_output,
    refuse_replacing,
)
from nncompress.formats.npy import write_npy
from nncompress.sources import write_vocabulary

FORMATS = ("word2vec", "glove", "npy", "gensim")
STREAMED = FORMATS[:3]  # formats written from the first byte to the last
_GENSIM_BESIDE = 10 << 20  # from this many numbers on, gensim puts vectors into a file beside


def export(embedding: CompressedEmbedding, path: str | os.PathLike, to: str) -> list[Path]:
    """Writes a table, decoded, in another format.

    Args:
        embedding: The table.
        path: The file. In word2vec's format it is binary if its name ends in ``.bin``, otherwise
            text. The words of a ``.npy`` file go into a ``.word`` file beside it.
        to: ``"word2vec"``, ``"glove"``, ``"npy"``, or ``"gensim"`` for ``KeyedVectors.load``.
            gensim puts a large table's vectors into a file beside it.

    Returns:
        The files that were written, which appear together.

    Raises:
        InputError: The format is unknown, or cannot hold some word or a classifier's words,
            which are means of rows. Or a file that would be written beside ``path`` exists and
            holds something else: only the file named is ever replaced.
        ImportError: gensim is not installed.
    """
    path = Path(path)
    if to not in FORMATS:
        raise InputError(f"the format is {to!r}; wanted one of {', '.join(FORMATS)}")
    check_output(path)
    if to == "npy":
        return _export_npy(embedding, path)
    if to == "gensim":
        return _export_gensim(embedding, path)
    rows, words = named_rows(embedding)
    refuse_words_file(path, words, " " if to == "word2vec" else "")
    binary = to == "word2vec" and path.suffix == ".bin"
    header = f"{len(rows)} {embedding.vector_size}\n" if to == "word2vec" else ""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write_rows(file, header, vectors_of(embedding), rows, words, binary=binary)
    return [path]


def export_to_stream(embedding: CompressedEmbedding, file: BinaryIO, to: str) -> None:
    """Writes a table, decoded, to a stream that cannot be rewound.

    Args:
        embedding: The table.
        file: The stream.
        to: ``"word2vec"``, as text, ``"glove"``, or ``"npy"``, without the words.

    Raises:
        InputError: The format is unknown, or cannot hold some word.
    """
    if to not in STREAMED:
        raise InputError(
            f"the format is {to!r}, which may take several files; wanted one of "
            f"{', '.join(STREAMED)} for a stream, or the name of a file"
        )
    if to == "npy":
        refuse_parts_of_words(embedding.subwords)
        shape = embedding.table.num_rows, embedding.table.dim
        layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, layout)
        for _, rows in blocks_of(embedding.vectors, np.arange(shape[0]), [""] * shape[0]):
            file.write(np.ascontiguousarray(rows, dtype="<f4").data)
        return
    rows, words = named_rows(embedding)
    separators = " " if to == "word2vec" else ""
    refuse_words_file(Path("standard output"), words, separators)
    header = f"{len(rows)} {embedding.vector_size}\n" if to == "word2vec" else ""
    write_rows(file, header, vectors_of(embedding), rows, words, binary=False)


def _export_npy(embedding: CompressedEmbedding, path: Path) -> list[Path]:
    if path.suffix != ".npy":
        raise InputError(f"{path} does not end in .npy; wanted a name that does")
    refuse_parts_of_words(embedding.subwords)
    words = []
    if embedding.has_words:
        words = [key if isinstance(key, str) else "" for key in embedding.index_to_key]
        while words and words[-1] == "" and "" not in embedding:
            words.pop()
        refuse_words(words, "\n", "a .word file", "gensim")
    rows = np.arange(embedding.table.num_rows)
    beside = path.with_suffix(".word")
    if beside.exists() and not embedding.has_words:
        raise InputError(
            f"{beside} exists, and would be taken for the words of this table, which has none; "
            "move it away, or name another output"
        )
    paths = [path, beside] if embedding.has_words else [path]
    with atomic_paths(*paths) as (temporary, *others):
        for words_file in others:  # before the long work, refuse another table's words
            write_vocabulary(words_file, words)
            refuse_replacing(words_file, beside)
        blocks = blocks_of(embedding.vectors, rows, [""] * len(rows))
        write_npy(temporary, (([b""] * len(part), part) for _, part in blocks), lambda _: None)
        for words_file in others:  # they may have been written in the meantime
            refuse_replacing(words_file, beside)
    return paths


def _export_gensim(embedding: CompressedEmbedding, path: Path) -> list[Path]:
    """Writes the file or the two files that gensim makes."""
    keyed = embedding.to_gensim()
    names = ["vectors"]
    if hasattr(keyed, "vectors_ngrams"):  # gensim computes the others from these
        names = ["vectors_vocab", "vectors_ngrams"]
    large = [name for name in names if getattr(keyed, name).size >= _GENSIM_BESIDE]
    beside = [path.with_name(f"{path.name}.{name}.npy") for name in large]
    with atomic_paths(path, *beside) as (temporary, *others):
        keyed.save(str(temporary), separately=large)
        for new, existing in zip(others, beside, strict=True):
            refuse_replacing(new, existing)
    return [path, *beside]
