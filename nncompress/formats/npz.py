"""NumPy's ``.npz`` files: arrays by name in a zip archive, each read on demand.

Nothing is unpickled, and no size is trusted: an array is read only if its header, the archive's
directory and the file's size agree on it.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import numpy as np

from nncompress.errors import FormatError
from nncompress.formats.npy import Header, open_file, read_header

# Exceptions that ``zipfile`` raises on damaged files.
_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, EOFError, OSError),
)
_ENCRYPTED = 1  # a member's flag
# numpy.savez stores, and Chainer's save_npz deflates.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A model's numbers do not shrink to a hundredth, but deflate shrinks zeros to a thousandth: a
# large array that claims to be so much larger than its data is not read.
_MOST_EXPANSION = 100
_SMALL = 1 << 24
_BLOCK_BYTES = 1 << 20
_ENDING = ".npy"

_T = TypeVar("_T")


class NpzFile(Mapping[str, np.ndarray]):
    """The arrays of a file by name. Each look-up reads the array anew.

    Members of the archive that are not ``.npy`` files are ignored.

    Args:
        path: The file.
        what: The expected content, for messages.

    Raises:
        InputError: There is no such file.
        FormatError: It is not a zip archive, or two members share a name. A look-up raises it if
            the member is damaged, encrypted, compressed by a method that NumPy does not use, not
            an array of numbers or text, or expands to far more than numbers do.
    """

    def __init__(self, path: str | os.PathLike, what: str = "arrays") -> None:
        self._path = Path(path)
        self._what = what
        self._file = open_file(self._path, f"{what} in an .npz file")
        try:
            self._archive = self._guarded("", lambda: zipfile.ZipFile(self._file))
            self._size = os.fstat(self._file.fileno()).st_size
            self._members: dict[str, zipfile.ZipInfo] = {}
            for member in self._archive.infolist():
                name = member.filename.removesuffix(_ENDING)
                if name in self._members:
                    raise FormatError(f"{path} has two members named {name!r}; wanted {what}")
                if name != member.filename:
                    self._members[name] = member
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "NpzFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. Arrays already read stay valid."""
        self._archive.close()
        self._file.close()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def header(self, name: str) -> Header:
        """Reads the shape and type of an array, but none of its numbers.

        Raises:
            KeyError: There is no such array.
            FormatError: The member is damaged or not an array.
        """
        return self._guarded(name, lambda: self._read(self._members[name], with_data=False)[0])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._guarded(name, lambda: self._read(self._members[name], with_data=True)[1])

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yields the bytes of an array, as in a ``.npy`` file, in blocks.

        Raises:
            KeyError: There is no such array.
            FormatError: The member is damaged or not an array.
        """
        self.header(name)
        stream = self._guarded(name, lambda: self._archive.open(self._members[name]))
        with stream:
            while block := self._guarded(name, lambda: stream.read(_BLOCK_BYTES)):
                yield block

    def _read(self, member: zipfile.ZipInfo, with_data: bool) -> tuple[Header, np.ndarray]:
        self._check(member)
        name = f"{self._path}, member {member.filename!r}"
        with self._archive.open(member) as stream:
            header = read_header(stream, name, self._what)
            if header.num_bytes + header.data_bytes != member.file_size:
                raise FormatError(
                    f"{name} has {member.file_size:,} bytes, but an array of {header.dtype} "
                    f"{header.shape} takes {header.num_bytes + header.data_bytes:,}; wanted "
                    f"{self._what} that are complete"
                )
            data = bytearray()
            if with_data:
                # Memory grows only with the data that is really there.
                while block := stream.read(_BLOCK_BYTES):
                    data += block
                if len(data) != header.data_bytes:
                    raise EOFError("it ends early")
        if not with_data:
            return header, np.empty(0)
        order: Literal["C", "F"] = "F" if header.fortran_order else "C"
        flat = np.frombuffer(data, header.dtype)
        return header, flat.reshape(header.shape, order=order)

    def _check(self, member: zipfile.ZipInfo) -> None:
        """Refuses a member on the strength of its entry in the archive's directory."""
        packed, size = member.compress_size, member.file_size
        problem = ""
        if member.flag_bits & _ENCRYPTED:
            problem = "is encrypted"
        elif member.compress_type not in _METHODS:
            problem = f"is compressed by zip method {member.compress_type}"
        elif packed > self._size:
            problem = f"claims {packed:,} bytes of the file's {self._size:,}"
        elif member.compress_type == zipfile.ZIP_STORED and packed != size:
            problem = f"is stored uncompressed, but claims both {packed:,} and {size:,} bytes"
        elif size > max(_SMALL, _MOST_EXPANSION * packed):
            problem = f"claims to expand from {packed:,} to {size:,} bytes, more than numbers do"
        if problem:
            raise FormatError(
                f"{self._path}, member {member.filename!r}: it {problem}; wanted {self._what} as "
                "numpy.savez writes them"
            )

    def _guarded(self, name: str, read: Callable[[], _T]) -> _T:
        """Calls a function, and turns any exception caused by damage into one message."""
        try:
            return read()
        except FormatError:
            raise
        except _FAULTS as error:
            where = f"{self._path}, member {name!r}: it" if name else f"{self._path}"
            raise FormatError(
                f"{where} is not a complete and undamaged .npz file "
                f"({error or type(error).__name__}); wanted {self._what}"
            ) from None
