"""Files on this machine and in object stores, read by ranges of their bytes."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from nncompress.errors import FormatError, InputError, OutputError
from nncompress.formats.files import what_is
from nncompress.missing import brought_by

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?:::.*)?://")
# The fields by which file systems show that a file has changed.
_MARKS = (
    *("ETag", "etag", "checksum", "md5Hash", "content_md5", "sha256", "version_id", "generation"),
    *("LastModified", "last_modified", "updated", "mtime", "modified", "created"),
)


def is_url(source: object) -> bool:
    """Tells whether a source is a URL, such as ``s3://bucket/table.npy``."""
    return isinstance(source, str) and _URL.match(source) is not None


class Place(Protocol):
    """A file or directory.

    Attributes:
        name: Its path or URL, for messages.
        basename: The last part of the name.
    """

    name: str
    basename: str

    def is_file(self) -> bool:
        """Tells whether it is an ordinary file."""
        ...

    def is_dir(self) -> bool:
        """Tells whether it is a directory."""
        ...

    def num_bytes(self) -> int:
        """Returns the size of the file."""
        ...

    def read_into(self, buffer: memoryview, first: int) -> None:
        """Fills a buffer with the bytes from ``first`` on.

        Raises:
            FormatError: The file ends before the buffer is full.
        """
        ...

    def open(self) -> BinaryIO:
        """Opens the file for reading at any position."""
        ...

    def beside(self, name: str) -> "Place":
        """Returns a place in the same directory."""
        ...

    def child(self, name: str) -> "Place":
        """Returns a place in the directory."""
        ...

    def inside(self, pattern: str) -> "list[Place]":
        """Returns the files directly in the directory whose names match, sorted by name."""
        ...

    def identity(self) -> dict[str, object]:
        """Returns the name, the size and what else identifies a file, in JSON's types.

        For a directory, the number of files in and below it, and a digest of their identities.
        """
        ...


def place_of(source: str | os.PathLike) -> Place:
    """Returns the place of a path or URL.

    Raises:
        InputError: It is a URL, and fsspec, or a library that fsspec needs for it, is missing.
    """
    if not is_url(source):
        return LocalPlace(Path(source))
    url = str(source)
    fsspec: Any = import_scale("fsspec", url)
    with reading(url):
        filesystem, path = fsspec.core.url_to_fs(url)
        return RemotePlace(filesystem, path, url)


def import_scale(module: str, name: str) -> Any:
    """Imports a library of the extra ``scale``.

    Args:
        module: The library's name.
        name: The file or kind of file that needs it, for messages.

    Raises:
        InputError: It is not installed.
    """
    import importlib

    with brought_by("scale", f"reading {name}"):
        return importlib.import_module(module)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns any error of another library while it reads a file into an error of one line.

    Args:
        name: The file's name in messages.
    """
    try:
        yield
    except (InputError, OutputError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"{name} does not exist; wanted rows of vectors") from None
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name} cannot be read: {text:.300}") from None


class LocalPlace:
    """A file or directory on this machine; a file stays open once it has been read from.

    Args:
        path: The path.
    """

    _file: BinaryIO | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name, self.basename = str(path), path.name
        self._lock = threading.Lock()

    def is_file(self) -> bool:
        """Tells whether it is an ordinary file."""
        return self.path.is_file()

    def is_dir(self) -> bool:
        """Tells whether it is a directory."""
        return self.path.is_dir()

    def num_bytes(self) -> int:
        """Returns the size of the file."""
        if not self.path.is_file():
            raise InputError(f"{self.name} {what_is(self.path)}; wanted rows of vectors in a file")
        return self.path.stat().st_size

    def read_into(self, buffer: memoryview, first: int) -> None:
        """Fills a buffer with the bytes from ``first`` on."""
        with self._lock:
            if self._file is None:
                self._file = self.path.open("rb", buffering=0)
        done = 0
        while done < len(buffer):  # a call reads at most 2 GiB
            count = _read_at(self._file, self._lock, buffer[done:], first + done)
            if not count:
                raise _cut(self.name, first + len(buffer), first + done)
            done += count

    def open(self) -> BinaryIO:
        """Opens the file for reading at any position."""
        return self.path.open("rb")

    def beside(self, name: str) -> Place:
        """Returns a place in the same directory."""
        return LocalPlace(self.path.with_name(name))

    def child(self, name: str) -> Place:
        """Returns a place in the directory."""
        return LocalPlace(self.path / name)

    def inside(self, pattern: str) -> list[Place]:
        """Returns the files directly in the directory whose names match, sorted by name."""
        paths = (path for path in self.path.iterdir() if fnmatch(path.name, pattern))
        return [LocalPlace(path) for path in sorted(paths) if path.is_file()]

    def identity(self) -> dict[str, object]:
        """Returns what identifies the file or directory."""
        if not self.path.is_dir():
            return {"name": str(self.path.resolve()), **_status(self.path)}
        files = (path for path in self.path.rglob("*") if path.is_file())
        entries = ([path.relative_to(self.path).as_posix(), _status(path)] for path in files)
        return {"name": str(self.path.resolve()), **_digest(entries)}

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


class RemotePlace:
    """A file or directory in a file system that fsspec supports.

    Args:
        filesystem: The file system.
        path: The path in it.
        url: The URL, for messages.
    """

    def __init__(self, filesystem: Any, path: str, url: str) -> None:
        self._filesystem, self._path = filesystem, path
        self.name, self.basename = url, url.rstrip("/").rpartition("/")[2]

    def is_file(self) -> bool:
        """Tells whether it is an ordinary file."""
        with reading(self.name):
            return self._filesystem.isfile(self._path)

    def is_dir(self) -> bool:
        """Tells whether it is a directory."""
        with reading(self.name):
            return self._filesystem.isdir(self._path)

    def num_bytes(self) -> int:
        """Returns the size of the file."""
        with reading(self.name):
            size = self._filesystem.info(self._path)["size"]
        if size is None:
            raise InputError(f"the server does not say how large {self.name} is; download it")
        return size

    def read_into(self, buffer: memoryview, first: int) -> None:
        """Fills a buffer with the bytes from ``first`` on."""
        last = first + len(buffer)
        with reading(self.name):
            data = self._filesystem.cat_file(self._path, start=first, end=last)
        if len(data) != len(buffer):
            raise _cut(self.name, last, first + len(data))
        buffer[:] = data

    def open(self) -> BinaryIO:
        """Opens the file for reading at any position."""
        with reading(self.name):
            return self._filesystem.open(self._path, "rb")

    def beside(self, name: str) -> Place:
        """Returns a place in the same directory."""
        return self._in(self._path.rpartition("/")[0], self.name.rpartition("/")[0], name)

    def child(self, name: str) -> Place:
        """Returns a place in the directory."""
        return self._in(self._path, self.name.rstrip("/"), name)

    def inside(self, pattern: str) -> list[Place]:
        """Returns the files directly in the directory whose names match, sorted by name."""
        with reading(self.name):
            entries = self._filesystem.ls(self._path, detail=True)
        names = [e["name"].rpartition("/")[2] for e in entries if e["type"] == "file"]
        found = sorted(name for name in names if fnmatch(name, pattern))
        return [self.child(name) for name in found]

    def identity(self) -> dict[str, object]:
        """Returns what identifies the file or directory."""
        with reading(self.name):
            # Asks again: the listing from when the file was opened may be out of date.
            self._filesystem.invalidate_cache()
            if not self._filesystem.isdir(self._path):
                return {"name": self.name, **_marks(self._filesystem.info(self._path))}
            files = self._filesystem.find(self._path, detail=True)
        entries = ([path, _marks(info)] for path, info in files.items())
        return {"name": self.name, **_digest(entries)}

    def _in(self, directory: str, url: str, name: str) -> "RemotePlace":
        return RemotePlace(self._filesystem, f"{directory}/{name}", f"{url}/{name}")


def read_bytes(place: Place, first: int, last: int) -> bytearray:
    """Returns the bytes ``first ... last-1`` of a file."""
    data = bytearray(last - first)
    place.read_into(memoryview(data), first)
    return data


def _read_at(file: BinaryIO, lock: threading.Lock, buffer: memoryview, first: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(file.fileno(), [buffer], first)
    with lock:
        file.seek(first)
        return file.readinto(buffer)  # type: ignore[attr-defined]


def _cut(name: str, wanted: int, seen: int) -> FormatError:
    return FormatError(
        f"{name} ends at byte {seen:,}, but its rows should reach to byte {wanted:,}; wanted a "
        "complete file that does not change"
    )


def _status(path: Path) -> dict[str, object]:
    status = path.stat()
    changed = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(" ")
    return {"bytes": status.st_size, "changed": changed}


def _marks(info: dict) -> dict[str, object]:
    marks = {mark: str(info[mark]) for mark in _MARKS if info.get(mark) is not None}
    return {"bytes": info.get("size"), **marks}


def _digest(entries: Iterable[list]) -> dict[str, object]:
    state, count = hashlib.blake2b(digest_size=16), 0
    for entry in sorted(entries, key=lambda entry: entry[0]):
        state.update(json.dumps(entry).encode())
        count += 1
    return {"files": count, "digest": state.hexdigest()}
