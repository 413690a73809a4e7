"""NumPy's ``.npz`` files: arrays by name in a zip archive, each read when it is asked for.

Nothing is unpickled, and nothing is believed: an array is read only if its header, the archive's
directory and the file's size agree on how large it is.
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

# What damage makes ``zipfile`` raise.
_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, EOFError, OSError),
)
_ENCRYPTED = 1  # a member's flag
# numpy.savez stores, and Chainer's save_npz deflates.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Numbers of a model do not shrink to a hundredth. Deflate makes a thousandth of zeros: of a large
# array so much smaller than it says, nothing is read.
_MOST_EXPANSION = 100
_SMALL = 1 << 24
_BLOCK_BYTES = 1 << 20
_ENDING = ".npy"

_T = TypeVar("_T")


class NpzFile(Mapping[str, np.ndarray]):
    """The arrays of a file by name. Each look-up reads the array anew.

    Members of the archive that are no ``.npy`` files are passed over.

    Args:
        path: The file.
        what: Name of its expected content, for messages.

    Raises:
        InputError: There is no such file.
        FormatError: It is no zip archive, or two members have one name. A look-up raises it if the
            member is damaged, encrypted, compressed by a method that NumPy does not use, no array
            of numbers or text, or expands to far more than numbers do.
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
                    raise FormatError(f"{path} has two members {name!r}; wanted {what}")
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
        """Closes the file. Arrays that have been read stay."""
        self._archive.close()
        self._file.close()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def header(self, name: str) -> Header:
        """Reads shape and type of an array, and nothing of its numbers.

        Raises:
            KeyError: There is no such array.
            FormatError: The member is damaged or no array.
        """
        return self._guarded(name, lambda: self._read(self._members[name], with_data=False)[0])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._guarded(name, lambda: self._read(self._members[name], with_data=True)[1])

    def _read(self, member: zipfile.ZipInfo, with_data: bool) -> tuple[Header, np.ndarray]:
        self._check(member)
        name = f"{self._path}, member {member.filename!r}"
        with self._archive.open(member) as stream:
            header = read_header(stream, name, self._what)
            if header.num_bytes + header.data_bytes != member.file_size:
                raise FormatError(
                    f"{name} has {member.file_size:,} bytes, and an array of {header.dtype} "
                    f"{header.shape} takes {header.num_bytes + header.data_bytes:,}; wanted "
                    f"{self._what} that are complete"
                )
            data = bytearray()
            if with_data:
                # Memory grows with what is really there.
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
        """Refuses a member by what the archive's directory says of it."""
        packed, size = member.compress_size, member.file_size
        problem = ""
        if member.flag_bits & _ENCRYPTED:
            problem = "is encrypted"
        elif member.compress_type not in _METHODS:
            problem = f"is compressed by method {member.compress_type} of zip archives"
        elif packed > self._size:
            problem = f"is said to have {packed:,} bytes of the file's {self._size:,}"
        elif member.compress_type == zipfile.ZIP_STORED and packed != size:
            problem = f"is stored, and is said to have both {packed:,} and {size:,} bytes"
        elif size > max(_SMALL, _MOST_EXPANSION * packed):
            problem = f"is said to expand from {packed:,} to {size:,} bytes, as no numbers do"
        if problem:
            raise FormatError(
                f"{self._path}, member {member.filename!r}: it {problem}; wanted {self._what} as "
                "numpy.savez writes them"
            )

    def _guarded(self, name: str, read: Callable[[], _T]) -> _T:
        """Calls a function, and makes what damage raises in it one message."""
        try:
            return read()
        except FormatError:
            raise
        except _FAULTS as error:
            where = f"{self._path}, member {name!r}: it" if name else f"{self._path}"
            raise FormatError(
                f"{where} is not an .npz file that is complete and undamaged "
                f"({error or type(error).__name__}); wanted {self._what}"
            ) from None
