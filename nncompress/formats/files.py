"""Writing files so that the final name only ever holds a complete file."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nncompress.errors import InputError


def what_is(path: Path) -> str:
    """Returns what stands at a path where an ordinary file was wanted, as messages say it."""
    if path.is_dir():
        return "is a directory"
    return "is no ordinary file" if path.exists() else "does not exist"


def check_output(path: str | os.PathLike, inputs: Iterable[object] = ()) -> None:
    """Refuses an output that cannot be written, before long work is done for it.

    Missing parent directories are created.

    Args:
        path: The file to be written.
        inputs: Paths that it must not be; objects that are no paths are passed over.

    Raises:
        InputError: It is a directory, no ordinary file, or one of the inputs.
        OSError: Nothing can be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory; wanted the name of a file")
    if path.exists():
        if not path.is_file():
            raise InputError(f"{path} is no ordinary file; wanted the name of one")
        for other in inputs:
            if not isinstance(other, (str, os.PathLike)):
                continue
            if Path(other).exists() and path.samefile(other):
                raise InputError(f"{path} is the input itself; wanted another name for the output")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` that takes its name when the block succeeds.

    Args:
        path: The final name. Missing parent directories are created.

    Yields:
        A path with the same suffix in the same directory. If the block raises, it is removed and
        whatever stood at ``path`` is untouched.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{final.name}.", suffix=final.suffix, dir=final.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes private files; ours are ordinary ones
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
