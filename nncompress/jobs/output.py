"""The output directory of an encoding job."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from nncompress.embedding.directory_writing import adding_to, check_new_directory
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import write_model
from nncompress.embedding.provenance import facts_of_others
from nncompress.embedding.table_directory import (
    MODEL_FILE,
    Manifest,
    Shard,
    is_table_directory,
    open_directory,
    read_manifest,
    shard_name,
    write_manifest,
)
from nncompress.embedding.vocabulary import Vocabulary
from nncompress.errors import InputError
from nncompress.formats.files import atomic_directory, atomic_path, check_output
from nncompress.formats.work import WorkDirectory
from nncompress.jobs.block_encoder import Sums

_COMPLETE = "files of the table at the end"


class Output:
    """A directory of shards, either new or to be appended to.

    Args:
        path: The directory.
        model: The model of its rows.
        model_digest: The digest of the model's file.
        append: Whether the directory exists already.

    Attributes:
        path: As given.
    """

    def __init__(
        self, path: str | os.PathLike, model: Model, model_digest: str, *, append: bool
    ) -> None:
        self.path, self._model = Path(path), model
        self._digest, self._append = model_digest, append

    def is_complete(self, work: WorkDirectory) -> bool:
        """Tells whether a job is complete except for removing its work directory."""
        noted = work.noted(_COMPLETE)
        if not isinstance(noted, dict) or not is_table_directory(self.path):
            return False
        # Other jobs may have added rows since.
        return _marks(read_manifest(self.path).shards[: noted["number"]]) == noted

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keeps other processes from adding rows to the directory while the block runs.

        Raises:
            InputError: There is no table to add rows to, or another process is adding rows.
            OutputError: Nothing can be written there.
        """
        if not self._append:
            yield
            return
        read_manifest(self.path)
        with adding_to(self.path):
            yield

    def check(self) -> None:
        """Refuses an output that cannot be used.

        Raises:
            InputError: The name is taken, or there is no table to add rows to, or it has another
                model.
            OutputError: Nothing can be written there.
        """
        if not self._append:
            check_new_directory(self.path)
            check_output(self.path)
            return
        manifest = read_manifest(self.path)
        if manifest.model_digest != self._digest:
            raise InputError(
                f"{self.path} holds rows of another model; encode with the model in it "
                f"({self.path / MODEL_FILE})"
            )

    def needs_copies_from(self, work: WorkDirectory) -> bool:
        """Tells whether files in a work directory have to be copied instead of linked."""
        here = self.path if self._append else self.path.parent
        return here.stat().st_dev != work.path.stat().st_dev

    @property
    def error(self) -> float | None:
        """The error of the existing rows; None if it is unknown."""
        total = _total_of(read_manifest(self.path)) if self._append else None
        return None if total is None else total.error

    def vocabularies(self) -> list[Vocabulary]:
        """Returns the vocabularies of the existing rows."""
        if not self._append:
            return []
        _, _, opened = open_directory(self.path)
        return [each.vocabulary for each in opened if each.vocabulary is not None]

    def finish(
        self,
        work: WorkDirectory,
        files: Sequence[tuple[Path, Shard]],
        facts: Mapping[str, object],
        first_row: int,
    ) -> None:
        """Puts a job's shards into the output directory.

        Args:
            work: The job's work directory, where they also stay until the job ends.
            files: The files of rows, and their entries.
            facts: Facts about the encoding: JSON values by name.
            first_row: The number of the first row in the original table.

        Raises:
            OutputError: Something cannot be written.
        """
        if self._append:
            manifest = read_manifest(self.path)
            self._take(self.path, files, manifest, facts, work)
            return
        check_new_directory(self.path)
        with atomic_directory(self.path) as directory:
            write_model(directory / MODEL_FILE, self._model)
            manifest = Manifest(self._digest, [], first_row)
            self._take(directory, files, manifest, facts, work)

    def _take(
        self,
        directory: Path,
        files: Sequence[tuple[Path, Shard]],
        manifest: Manifest,
        facts: Mapping[str, object],
        work: WorkDirectory,
    ) -> None:
        shards = list(manifest.shards)
        for path, shard in files:
            place = directory / shard_name(len(shards))
            with atomic_path(place) as temporary:
                try:
                    os.link(path, temporary)
                except OSError:  # another file system, or one without links
                    with path.open("rb") as file, temporary.open("wb") as copy:
                        shutil.copyfileobj(file, copy)
            shards.append(replace(shard, file=place.name))
        manifest = replace(manifest, shards=shards)
        total = _total_of(manifest)
        measured = {} if total is None else total.facts
        provenance = {
            **facts_of_others(manifest.provenance), **facts, **measured,
            "source_shape": [manifest.num_rows, self._model.dim],
        }  # fmt: skip
        # Noted before it is true: ``is_complete`` compares the note with the directory.
        work.note(_COMPLETE, _marks(shards))
        write_manifest(directory, replace(manifest, provenance=provenance))


def sums_of_shard(shard: Shard) -> Sums | None:
    """Returns the totals of a shard's rows; None if its entry does not record them."""
    with suppress(TypeError, OverflowError):  # raised by other or damaged entries
        sums = Sums(**shard.facts)
        if sums.num_rows > 0 and all(math.isfinite(value) for value in vars(sums).values()):
            return sums
    return None


def _total_of(manifest: Manifest) -> Sums | None:
    """Returns the totals of all rows; None if an entry does not record them."""
    sums = [sums_of_shard(shard) for shard in manifest.shards]
    total = sums[0]
    for each in sums[1:]:
        if total is None or each is None:
            return None
        total += each
    return total


def _marks(shards: Sequence[Shard]) -> dict[str, object]:
    """Returns a fingerprint of files of rows."""
    text = json.dumps([asdict(shard) for shard in shards], sort_keys=True)
    return {"number": len(shards), "sha256": hashlib.sha256(text.encode()).hexdigest()}
