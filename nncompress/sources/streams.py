"""Files of vectors as streams of bytes, whether compressed or not."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from nncompress.errors import InputError
from nncompress.formats.files import what_is
from nncompress.progress import Counter, progress_bar
from nncompress.sources.lines import text_lines

if TYPE_CHECKING:
    from tqdm import tqdm

COMPRESSED = (".gz", ".xz", ".bz2", ".zip")
# The errors that reading a damaged file raises.
_DAMAGED = (
    *(OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile),
    NotImplementedError,  # a zip of a later version than zipfile knows
)
_STEP = 1 << 20
# xz allocates as much as a file asks for, up to 4 GiB; its highest preset takes 65 MiB.
_MOST_XZ_BYTES = 256 << 20
# Within a zip, zipfile may return the data of other methods in pieces of any size.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Numbers in text shrink to a third when compressed. A file that expands far more than that is
# refused, unless it is small, so that no small file can fill the memory or the disk.
_MOST_EXPANSION = 50
_SMALL_BYTES = 64 << 20


class _Bytes(Protocol):
    """A file of bytes, read directly or decompressed by ``gzip``, ``lzma`` or ``zipfile``."""

    def read(self, count: int, /) -> bytes: ...

    def readline(self, limit: int, /) -> bytes: ...


class Stream:
    """A stream that is read forward, by line or by number of bytes, with a progress bar.

    Reading is bounded: a line by ``lines.MOST_LINE_BYTES``, and the whole by 64 MiB or 50 times
    the file's size, whichever is more.

    Args:
        text: The decompressed stream to read.
        raw: The file itself, whose position the bar follows.
        path: The file's path.

    Raises:
        InputError: The stream exceeds these bounds; raised by each way of reading.
    """

    def __init__(self, text: _Bytes, raw: BinaryIO, path: Path) -> None:
        self._text, self._raw, self._path = text, raw, path
        self._size = path.stat().st_size
        self._left = max(_SMALL_BYTES, _MOST_EXPANSION * self._size)
        self._bar: tqdm | Counter | None = None

    def __iter__(self) -> Iterator[bytes]:
        for line in text_lines(self._text, self._path):
            self._count(line)
            yield line

    def read(self, count: int) -> bytes:
        """Returns ``count`` bytes, or fewer at the end."""
        data = self._text.read(count)
        self._count(data)
        return data

    def readline(self, limit: int) -> bytes:
        """Returns a line, or its first ``limit`` bytes."""
        return self._text.readline(limit)

    def close(self) -> None:
        """Removes the progress bar."""
        if self._bar is not None:
            self._bar.close()

    def _count(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self._path} expands to more than {_MOST_EXPANSION} times its size, which word "
                "vectors do not do by accident; if you trust it, decompress it first"
            )
        position = self._raw.tell()
        if self._bar is None:
            if position <= _STEP:  # a look at the beginning is not a phase of reading
                return
            name = f"Reading {self._path.name}"
            self._bar = progress_bar(self._size, name, "B", unit_scale=True)
        if (moved := position - self._bar.n) > _STEP:
            self._bar.update(moved)


def locate(path: Path, what: str = "word vectors") -> tuple[Path, str | None]:
    """Returns the file that holds a path, and the member's name if the path leads into a zip.

    Args:
        path: The file, or a file within a zip.
        what: The expected contents, for messages.

    Raises:
        InputError: There is no such file.
    """
    if path.is_file():
        return path, None
    for parent in path.parents:
        if parent.suffix == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    raise InputError(f"{path} {what_is(path)}; wanted {what} in a file")


@contextmanager
def open_stream(path: Path, what: str = "word vectors") -> Iterator[Stream]:
    """Opens a file, decompressing it if its name ends in ``.gz``, ``.xz``, ``.bz2`` or ``.zip``.

    Args:
        path: The file, or a file within a zip: ``vectors.zip/vectors.50d.txt``.
        what: The expected contents, for messages.

    Yields:
        The stream.

    Raises:
        InputError: There is no such file, a zip holds several files or uses a compression method
            other than deflate, or the file is damaged.
    """
    file, member = locate(path, what)
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
            raise InputError(f"{path} cannot be {verb}: {error!s:.200}") from None


@contextmanager
def _decompressed(raw: BinaryIO, path: Path, member: str | None) -> Iterator[_Bytes]:
    if path.suffix == ".gz":
        with gzip.GzipFile(fileobj=raw) as text:
            yield text
    elif path.suffix == ".bz2":
        with bz2.BZ2File(raw) as text:
            yield text
    elif path.suffix == ".xz":
        with io.BufferedReader(_Xz(raw), _STEP) as text:
            yield text
    elif path.suffix == ".zip":
        with (
            zipfile.ZipFile(raw) as archive,
            archive.open(_member(archive, path, member)) as packed,
            io.BufferedReader(cast(io.RawIOBase, packed), _STEP) as text,
        ):
            yield text
    else:
        yield raw


def _member(archive: zipfile.ZipFile, path: Path, wanted: str | None) -> zipfile.ZipInfo:
    files = {info.filename: info for info in archive.infolist() if info.filename[-1:] != "/"}
    if wanted is None and len(files) == 1:
        (wanted,) = files
    if wanted not in files:
        names = ", ".join(name[:99] for name in list(files)[:10]) or "no file"
        raise InputError(
            f"{path} holds {names}; name one of them, as in {path}/{next(iter(files), 'FILE')}"
        )
    if files[wanted].flag_bits & 1:
        raise InputError(f"{path}/{wanted} is encrypted; extract it first")
    if files[wanted].compress_type not in _ZIP_METHODS:
        raise InputError(
            f"{path}/{wanted} is compressed with a method other than deflate; extract it first"
        )
    return files[wanted]


class _Xz(io.RawIOBase):
    """The decompressed bytes of a file of xz streams, one after the other.

    It replaces ``lzma.LZMAFile``, which sets no bound on the memory that a file asks for.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._stream = lzma.LZMADecompressor(memlimit=_MOST_XZ_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        into = memoryview(buffer)
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data.lstrip(b"\0")  # padding between streams
                while not rest and (more := self._raw.read(_STEP)):
                    rest = more.lstrip(b"\0")
                if not rest:
                    return 0
                self._stream = lzma.LZMADecompressor(memlimit=_MOST_XZ_BYTES)
                data = self._stream.decompress(rest, len(into))
            elif self._stream.needs_input:
                packed = self._raw.read(_STEP)
                if not packed:
                    raise EOFError("it ends before its end mark")
                data = self._stream.decompress(packed, len(into))
            else:
                data = self._stream.decompress(b"", len(into))
            if data:
                into[: len(data)] = data
                return len(data)
