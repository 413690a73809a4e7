"""Files of vectors as streams of bytes, whatever they are compressed with."""

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from nncompress.errors import InputError
from nncompress.progress import progress_bar

COMPRESSED = (".gz", ".xz", ".zip")
# What reading a damaged file raises.
_DAMAGED = (
    *(OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile),
    NotImplementedError,  # a way of compressing that zipfile does not know
)
_STEP = 1 << 20


class _Bytes(Protocol):
    """A file of bytes, as it is or decompressed by ``gzip``, ``lzma`` or ``zipfile``."""

    def __iter__(self) -> Iterator[bytes]: ...

    def read(self, count: int, /) -> bytes: ...

    def readline(self, limit: int, /) -> bytes: ...


class Stream:
    """A stream that reads on, by line or by number of bytes, under a progress bar.

    Args:
        text: The decompressed stream to read.
        raw: The file itself, whose place the bar follows.
        path: The file's path.
    """

    def __init__(self, text: _Bytes, raw: BinaryIO, path: Path) -> None:
        self._text, self._raw = text, raw
        self._bar = progress_bar(path.stat().st_size, f"Reading {path.name}", "B", unit_scale=True)

    def __iter__(self) -> Iterator[bytes]:
        for line in self._text:
            yield line
            self._show()

    def read(self, count: int) -> bytes:
        """Returns as many bytes, or fewer at the end."""
        data = self._text.read(count)
        self._show()
        return data

    def readline(self, limit: int) -> bytes:
        """Returns a line, or as many bytes of it."""
        return self._text.readline(limit)

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()

    def _show(self) -> None:
        if (moved := self._raw.tell() - self._bar.n) > _STEP:
            self._bar.update(moved)


def locate(path: Path) -> tuple[Path, str | None]:
    """Returns the file that holds a path, and the member's name if the path leads into a zip.

    Raises:
        InputError: There is no such file.
    """
    if path.is_file():
        return path, None
    for parent in path.parents:
        if parent.suffix == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    seen = "is a directory" if path.is_dir() else "does not exist"
    raise InputError(f"{path} {seen}; wanted word vectors in a file")


@contextmanager
def open_stream(path: Path) -> Iterator[Stream]:
    """Opens a file, decompressing it if its name ends in ``.gz``, ``.xz`` or ``.zip``.

    Args:
        path: The file, or a file within a zip: ``vectors.zip/vectors.50d.txt``.

    Yields:
        The stream.

    Raises:
        InputError: There is no such file, a zip holds several, or the file is damaged.
    """
    file, member = locate(path)
    with file.open("rb") as raw:
        try:
            with _decompressed(raw, file, member) as text:
                stream = Stream(text, raw, file)
                try:
                    yield stream
                finally:
                    stream.close()
        except _DAMAGED as error:
            verb = "decompressed" if file.suffix in COMPRESSED else "read"
            raise InputError(f"{path} cannot be {verb}: {error}") from None


@contextmanager
def _decompressed(raw: BinaryIO, path: Path, member: str | None) -> Iterator[_Bytes]:
    if path.suffix == ".gz":
        with gzip.GzipFile(fileobj=raw) as text:
            yield text
    elif path.suffix == ".xz":
        with lzma.LZMAFile(raw) as text:
            yield text
    elif path.suffix == ".zip":
        with zipfile.ZipFile(raw) as archive, archive.open(_member(archive, path, member)) as text:
            yield text
    else:
        yield raw


def _member(archive: zipfile.ZipFile, path: Path, wanted: str | None) -> zipfile.ZipInfo:
    files = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    if wanted is None and len(files) == 1:
        (wanted,) = files
    if wanted not in files:
        names = ", ".join(list(files)[:10]) or "no file"
        raise InputError(
            f"{path} holds {names}; name one of them, as in {path}/{next(iter(files), 'FILE')}"
        )
    if files[wanted].flag_bits & 1:
        raise InputError(f"{path}/{wanted} is encrypted; extract it first")
    return files[wanted]
