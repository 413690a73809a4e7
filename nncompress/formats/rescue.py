"""Saving results of long work elsewhere if they cannot be written where they belong."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nncompress.errors import OutputError

_PREFIX = "nncompress-saved-"


def write_or_rescue(directory: Path, write: Callable[[Path], object]) -> None:
    """Writes results to a directory, or to another one if that fails, so that they are not lost.

    The other one is a new directory among the temporary files, or else in the home directory.

    Args:
        directory: The directory where they belong.
        write: Writes them to the directory that it is given.

    Raises:
        OutputError: They cannot be written where they belong. The message says where they are
            instead, if they could be written anywhere.
    """
    try:
        write(directory)
    except OutputError as error:
        place = _written_elsewhere(write)
        if place is None:
            raise
        raise OutputError(f"{error}; what was computed is in {place}", error.errno) from error


def _written_elsewhere(write: Callable[[Path], object]) -> Path | None:
    for parent in (tempfile.gettempdir, Path.home):
        with suppress(OSError, RuntimeError):  # there may be no home directory
            place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent()))
            try:
                write(place)
            except OSError:
                shutil.rmtree(place, ignore_errors=True)
                with suppress(OSError):
                    place.rmdir()  # this works even if no file descriptor is free
                continue
            return place
    return None
