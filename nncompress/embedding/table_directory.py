"""A table in a directory: files of rows, their common model, and a manifest.

docs/file-format.md, "A table in a directory", describes its contents. A file of rows is never
changed once it has been written; adding rows adds files beside it, and replaces the manifest.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from nncompress.embedding.access import Access
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import read_model
from nncompress.embedding.nnc_file import Contents, read_nnc
from nncompress.embedding.nnc_sections import as_json
from nncompress.errors import FormatError, InputError
from nncompress.formats.files import atomic_path

MANIFEST, MODEL_FILE = "manifest.json", "model.nnc"
_FORMAT, _VERSION = "nncompress table", 3
_MOST_BYTES = 64 << 20
_WHAT = "a directory of a compressed table, with a manifest.json"


@dataclass(frozen=True)
class Shard:
    """A file of rows.

    Attributes:
        file: Its name in the directory.
        num_rows: The number of its rows.
        num_words: The number of its rows that have a word.
        num_bytes: Its size in bytes.
        facts: Results of encoding its rows: JSON values by name.
    """

    file: str
    num_rows: int
    num_words: int
    num_bytes: int
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The contents of a directory.

    Attributes:
        model_digest: The digest of the model's file.
        shards: The files of rows, in row order.
        first_row: The number of the first row in the table that was encoded, of which these rows
            may be a part.
        provenance: Facts about how the table was made: JSON values by name.
    """

    model_digest: str
    shards: list[Shard]
    first_row: int = 0
    provenance: dict[str, object] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        """The number of rows in all files."""
        return sum(shard.num_rows for shard in self.shards)


def shard_name(number: int) -> str:
    """Returns the name of a file of rows."""
    return f"rows-{number:05d}.nnc"


def is_table_directory(path: str | os.PathLike) -> bool:
    """Tells whether a path is a directory with a manifest."""
    return (Path(path) / MANIFEST).is_file()


def size_of(path: str | os.PathLike) -> int:
    """Returns the size in bytes of a table's file, or of all files in its directory."""
    path = Path(path)
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return sum(file.stat().st_size for file in files)


def refuse_part_of_table(path: str | os.PathLike) -> None:
    """Refuses to replace a file that is part of a table in a directory.

    Args:
        path: The file that would be written.

    Raises:
        InputError: The file is part of a table.
    """
    path = Path(path)
    directory = Path(os.path.realpath(path)).parent
    try:
        files = [shard.file for shard in read_manifest(directory).shards]
    except InputError:
        return
    if path.name in (MANIFEST, MODEL_FILE, *files):
        raise InputError(
            f"{path} is a part of the table in {directory}; wanted another name for the output"
        )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes a directory's manifest, replacing an existing one.

    Args:
        directory: The directory, which already has the files.
        manifest: The contents of the directory.
    """
    content = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "model": MODEL_FILE,
        "model_digest": manifest.model_digest,
        "first_row": manifest.first_row,
        "num_rows": manifest.num_rows,
        "shards": [asdict(shard) for shard in manifest.shards],
        "provenance": manifest.provenance,
    }
    text = json.dumps(json.loads(as_json(content)), indent=1)
    with atomic_path(directory / MANIFEST) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_manifest(directory: str | os.PathLike) -> Manifest:
    """Reads a directory's manifest.

    Raises:
        InputError: There is no manifest.
        FormatError: The file is not a manifest, or of another version.
    """
    path = Path(directory) / MANIFEST
    if not path.is_file():
        raise InputError(f"{directory} has no {MANIFEST}; wanted {_WHAT}")
    if path.stat().st_size > _MOST_BYTES:
        raise FormatError(f"{path} has more than {_MOST_BYTES:,} bytes; wanted {_WHAT}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError
        version = content["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(f"{path} is not a compressed table's manifest; wanted {_WHAT}") from None
    if version != _VERSION:
        raise FormatError(
            f"{path}: format version {version!r}, but this release reads version {_VERSION}; "
            "upgrade chainer-nncompress"
        )
    try:
        manifest = _manifest_of(content)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is damaged: {error}; get the directory again") from None
    return manifest


def open_directory(
    directory: str | os.PathLike,
    *,
    verified: bool = False,
    copy: bool = False,
    access: Callable[[Path], Access] | None = None,
) -> tuple[Model, Manifest, list[Contents]]:
    """Opens all files of a directory, mapping them.

    Args:
        directory: The directory.
        verified: Whether to compare all sections with their SHA-256 sums.
        copy: Whether to read everything into memory instead of mapping it.
        access: Returns the access to a file's rows; None to read them as from memory.

    Returns:
        The model, the manifest, and the contents of each file of rows.

    Raises:
        InputError: A file is missing.
        FormatError: A file is damaged, or does not match the manifest or the other files.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    model, digest = read_model(directory / MODEL_FILE, copy=copy)
    if digest != manifest.model_digest:
        raise FormatError(
            f"{directory / MODEL_FILE} is not the model that the rows were encoded with; wanted "
            "the files that were written together"
        )
    opened = []
    for shard in manifest.shards:
        path = directory / shard.file
        size = path.stat().st_size if path.is_file() else shard.num_bytes
        if size != shard.num_bytes:
            raise FormatError(
                f"{path} has {size:,} bytes; the manifest says {shard.num_bytes:,}: get the "
                "directory again"
            )
        contents = read_nnc(
            path, verified=verified, copy=copy,
            model_of=lambda _: (model, digest),
            access=None if access is None else access(path),
        )  # fmt: skip
        words = 0 if contents.vocabulary is None else len(contents.vocabulary)
        found = contents.table.num_rows, words
        if found != (shard.num_rows, shard.num_words):
            raise FormatError(
                f"{directory / shard.file} has {found[0]:,} rows with {found[1]:,} words; the "
                f"manifest says {shard.num_rows:,} with {shard.num_words:,}"
            )
        opened.append(contents)
    return model, manifest, opened


def with_shards(manifest: Manifest, shards: Iterable[Shard]) -> Manifest:
    """Returns a manifest with more files of rows."""
    return replace(manifest, shards=[*manifest.shards, *shards])


def _manifest_of(content: dict) -> Manifest:
    shards = [_shard_of(entry) for entry in content["shards"]]
    manifest = Manifest(
        _typed(content, "model_digest", str), shards, _count(content, "first_row"),
        _typed(content, "provenance", dict),
    )  # fmt: skip
    if not shards or content["num_rows"] != manifest.num_rows:
        raise ValueError(
            f"{len(shards)} files have {manifest.num_rows} rows; num_rows is {content['num_rows']}"
        )
    return manifest


def _shard_of(entry: dict) -> Shard:
    name = _typed(entry, "file", str)
    if name != os.path.basename(name) or not name:
        raise ValueError(f"the file name {name[:40]!r}")
    rows, words, size = (_count(entry, key) for key in ("num_rows", "num_words", "num_bytes"))
    return Shard(name, rows, words, size, _typed(entry, "facts", dict))


def _typed(entry: dict, name: str, kind: type):
    value = entry[name]
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return value


def _count(entry: dict, name: str) -> int:
    value = _typed(entry, name, int)
    if value < 0 or isinstance(value, bool):
        raise ValueError(f"{name} is {value}")
    return value
