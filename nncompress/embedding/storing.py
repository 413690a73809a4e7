"""Writing compressed embeddings to files and directories of shards, and reading them."""

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
    """The parts of a compressed embedding that are written."""

    table: Table
    provenance: dict[str, object]
    extras: dict[str, np.ndarray]
    _keys: Keys
    _origin: Origin | None

    @property
    def model(self) -> Model:
        """The model that encodes further rows."""

    @property
    def shard_vocabularies(self) -> list[Vocabulary | None]:
        """The words of each shard's rows; None for a shard without words."""


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
        verify: Whether to read everything and compare SHA-256 sums.
        copy: Whether to read everything into memory instead of mapping it.
        access: Returns the access to a file's rows; None to read them as from memory.

    Returns:
        The arguments of ``CompressedEmbedding``.

    Raises:
        InputError: There is no such file.
        FormatError: The file is of another kind, incomplete, or altered.
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
    """Writes the table to one file, in the format of docs/file-format.md.

    Raises:
        InputError: The path is a directory, or a part of a table in a directory.
        OutputError: The file cannot be written.
        ImportError: A shard ends within a block of rows, and Numba is not installed.
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
    """Writes the table to a directory, one file per shard.

    If it was opened from that directory and rows were added, only those are written.

    Args:
        embedding: The table.
        directory: A new name, or the directory that the table was opened from.

    Raises:
        InputError: Something else has this name, another process has changed the directory, or
            the table has ``extras``, which a directory cannot keep.
        OutputError: A file cannot be written; what was there is unchanged.
    """
    if embedding.extras:
        raise InputError(
            f"the table has {', '.join(embedding.extras)} beside its rows, which shards cannot "
            "keep; write a single file instead, with save"
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
