"""Writing a table into a new directory, and adding rows to an existing one."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.embedding.model import Model
from nncompress.embedding.model_file import read_model, write_model
from nncompress.embedding.nnc_file import Contents, write_rows
from nncompress.embedding.provenance import facts_of_others
from nncompress.embedding.table_directory import (
    MODEL_FILE,
    Manifest,
    Shard,
    read_manifest,
    shard_name,
    with_shards,
    write_manifest,
)
from nncompress.errors import InputError, OutputError
from nncompress.formats.files import atomic_directory
from nncompress.formats.locks import Lock

_LOCK = ".nncompress-lock"


@dataclass(frozen=True)
class Origin:
    """The directory that a table was opened from.

    Attributes:
        path: The directory, resolved.
        model: The model of its rows.
        num_shards: Its files of rows.
    """

    path: Path
    model: Model
    num_shards: int

    def is_at(self, path: str | os.PathLike) -> bool:
        """Tells whether a path is that of the directory."""
        return Path(path).resolve() == self.path


def check_new_directory(path: str | os.PathLike) -> None:
    """Refuses a name that is already taken.

    Raises:
        InputError: A file or directory of this name exists.
    """
    if os.path.lexists(path):
        raise InputError(
            f"{path} already exists; wanted a new name for the table's directory (encode --append "
            "adds rows to an existing one)"
        )


def write_directory(
    path: str | os.PathLike,
    model: Model,
    contents: Iterable[Contents],
    provenance: Mapping[str, object],
    *,
    first_row: int = 0,
) -> None:
    """Writes a directory that appears complete or not at all.

    Args:
        path: A new name.
        model: The model of all rows.
        contents: The contents of each file of rows.
        provenance: Facts about how the table was made: JSON values by name.
        first_row: The number of the first row in the table of which these rows are a part.

    Raises:
        InputError: The name is already taken.
        OutputError: The directory cannot be written.
    """
    check_new_directory(path)
    with atomic_directory(path) as directory:
        write_model(directory / MODEL_FILE, model)
        _, digest = read_model(directory / MODEL_FILE)
        manifest = Manifest(digest, [], first_row, dict(provenance))
        shards = [
            write_shard(directory, number, each, digest) for number, each in enumerate(contents)
        ]
        write_manifest(directory, with_shards(manifest, shards))


def write_shard(
    directory: Path,
    number: int,
    contents: Contents,
    digest: str,
    facts: Mapping[str, object] | None = None,
) -> Shard:
    """Writes a file of rows into a directory whose manifest does not list it yet.

    Args:
        directory: The directory.
        number: The file's number.
        contents: The rows, in a table of the directory's model.
        digest: The model's digest.
        facts: Results of encoding the rows: JSON values by name.

    Returns:
        The manifest's entry.
    """
    path = directory / shard_name(number)
    write_rows(path, contents, MODEL_FILE, digest)
    return shard_of(path, contents, facts or {})


def shard_of(path: Path, contents: Contents, facts: Mapping[str, object]) -> Shard:
    """Returns the manifest's entry for a file of rows that has been written."""
    words = 0 if contents.vocabulary is None else len(contents.vocabulary)
    return Shard(path.name, contents.table.num_rows, words, path.stat().st_size, dict(facts))


@contextmanager
def adding_to(directory: str | os.PathLike) -> Iterator[None]:
    """Keeps other processes from adding rows to a directory while the block runs.

    Args:
        directory: A table's directory.

    Raises:
        InputError: Another process is adding rows to it.
        OutputError: Nothing can be written there.
    """
    try:
        lock = Lock.take(Path(directory) / _LOCK)
    except OSError as error:
        raise OutputError(
            f"{directory} cannot be written: {error.strerror}", error.errno
        ) from None
    if lock is None:
        raise InputError(
            f"another process is adding rows to {directory}; wait until it has finished"
        )
    try:
        yield
    finally:
        lock.release()


def append_shards(
    directory: str | os.PathLike, contents: Sequence[Contents], num_shards: int
) -> None:
    """Adds files of rows to a directory; existing files stay as they are.

    Args:
        directory: A directory with the rows' model.
        contents: The contents of each new file.
        num_shards: The number of files that the directory is expected to have.

    Raises:
        InputError: There is no such directory, it has another number of files, or another process
            is adding rows to it.
        OutputError: A file cannot be written; the directory is left as it was.
    """
    directory = Path(directory)
    with adding_to(directory):
        manifest = read_manifest(directory)
        first = len(manifest.shards)
        if first != num_shards:
            raise InputError(
                f"{directory} now has {first} files of rows, but had {num_shards} when it was "
                "opened; open it again"
            )
        shards = [
            write_shard(directory, first + number, each, manifest.model_digest)
            for number, each in enumerate(contents)
        ]
        more = with_shards(manifest, shards)
        facts = facts_of_others(manifest.provenance)
        facts["source_shape"] = [more.num_rows, contents[0].table.dim if contents else 0]
        write_manifest(directory, replace(more, provenance=facts))
