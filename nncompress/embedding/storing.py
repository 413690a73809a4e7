"""Compressed embeddings to files and to directories of shards, and back."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from nncompress.embedding.access import Access
from nncompress.embedding.directory_writing import Origin, append_shards, write_directory
from nncompress.embedding.joining import joined
from nncompress.embedding.keys import Keys, Words, vocabulary_of
from nncompress.embedding.model import Model
from nncompress.embedding.nnc_file import Contents, read_nnc, write_nnc
from nncompress.embedding.provenance import ENCODING
from nncompress.embedding.sharded_table import ShardedTable, Table, shards_of
from nncompress.embedding.sharded_vocabulary import ShardedVocabulary
from nncompress.embedding.table_directory import (
    is_table_directory,
    open_directory,
    refuse_part_of_table,
)
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.errors import InputError


class Storable(Protocol):
    """A compressed embedding, as far as it is written."""

    table: Table
    provenance: dict[str, object]
    extras: dict[str, np.ndarray]
    _keys: Keys
    _origin: Origin | None

    @property
    def model(self) -> Model:
        """What further rows are encoded by."""

    @property
    def shard_vocabularies(self) -> list[Vocabulary | None]:
        """The words of each shard's rows; None for one without."""


def read_embedding(
    path: str | os.PathLike,
    *,
    verify: bool,
    copy: bool,
    access: Callable[[Path], Access] | None,
) -> tuple[
    Table, Words | None, Mapping[str, object], Origin | None, Mapping[str, np.ndarray] | None
]:
    """Opens a file or a directory of shards.

    Args:
        path: The file, or the directory.
        verify: Whether to read all of it and compare SHA-256 sums.
        copy: Whether to read all of it into memory instead of mapping it.
        access: Returns how a file's rows are read; None: as memory is.

    Returns:
        What ``CompressedEmbedding`` is made of.

    Raises:
        InputError: There is no such file.
        FormatError: It is another kind of file, not complete, or altered.
    """
    if not is_table_directory(path):
        own = None if access is None else access(Path(path))
        contents = read_nnc(path, verified=verify, copy=copy, access=own)
        return (
            contents.table, contents.vocabulary, contents.provenance, None, contents.extras,
        )  # fmt: skip
    model, manifest, shards = open_directory(path, verified=verify, copy=copy, access=access)
    table = ShardedTable([shard.table for shard in shards])
    parts = [shard.vocabulary for shard in shards]
    words = None
    if any(part is not None for part in parts):
        words = ShardedVocabulary(parts, table.first_rows.tolist(), table.num_rows)
    origin = Origin(Path(path).resolve(), model, len(shards))
    return table, words, manifest.provenance, origin, None


def save(embedding: Storable, path: str | os.PathLike) -> None:
    """Writes the table to one file, whose format docs/file-format.md describes.

    Raises:
        InputError: There is a directory of this name, or it is a part of a table in one.
        OutputError: The file cannot be written.
        ImportError: Shards end within a block of rows, and Numba is not installed.
    """
    if Path(path).is_dir():
        raise InputError(
            f"{path} is a directory; wanted the name of a file, or save_shards, which writes "
            "a directory"
        )
    refuse_part_of_table(path)
    words = embedding._keys.vocabulary
    if isinstance(words, ShardedVocabulary):
        words = vocabulary_of(words.words(), embedding.table.num_rows)
    facts = embedding.provenance
    if embedding._origin is not None:
        facts = {**facts, ENCODING: dict(embedding._origin.model.encoding)}
    write_nnc(path, Contents(joined(shards_of(embedding.table)), words, facts, embedding.extras))


def save_shards(embedding: Storable, directory: str | os.PathLike) -> None:
    """Writes the table to a directory, a file a shard.

    Where it was opened from that directory, and rows were added to it, they alone are written.

    Args:
        embedding: The table.
        directory: A new name, or that directory.

    Raises:
        InputError: There is something else of this name, or others have changed it, or the
            table has ``extras``, which a directory has no place for.
        OutputError: A file cannot be written. What was there is as it was.
    """
    if embedding.extras:
        raise InputError(
            f"the table has {', '.join(embedding.extras)} beside its rows, which shards cannot "
            "keep; write one file, with save"
        )
    shards, origin = shards_of(embedding.table), embedding._origin
    contents = [
        Contents(shard, part, embedding.provenance)
        for shard, part in zip(shards, embedding.shard_vocabularies, strict=True)
    ]
    if origin is not None and Path(directory).exists() and origin.is_at(directory):
        append_shards(directory, contents[origin.num_shards :], origin.num_shards)
    else:
        write_directory(directory, embedding.model, contents, embedding.provenance)
