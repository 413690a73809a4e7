"""The files in a model's folder, and copying those that are not rewritten."""

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from nncompress.errors import InputError


def files_in(folder: Path) -> list[Path]:
    """Returns all files in a folder, following links, and the empty folders in it.

    Raises:
        InputError: Something cannot be copied: a broken link, a link to a folder outside or to a
            parent, a pipe, or something unreadable.
    """
    return list(_below(folder, (os.path.realpath(folder),)))


def _below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Yields the files in a folder; ``above`` holds its resolved path and those of its parents."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise _not_copied(folder, "cannot be read")
    entries = sorted(folder.iterdir())
    if not entries:
        yield folder
    for path in entries:
        if path.is_dir():
            real = os.path.realpath(path)
            if real in above:
                raise _not_copied(path, "is a link to a folder that contains it")
            if not Path(real).is_relative_to(above[0]):
                raise _not_copied(path, "is a link to a folder outside")
            yield from _below(path, (*above, real))
        elif not path.is_file():
            reason = "is not a regular file" if path.exists() else "is a broken link"
            raise _not_copied(path, reason)
        elif not os.access(path, os.R_OK):
            raise _not_copied(path, "cannot be read")
        else:
            yield path


def _not_copied(path: Path, reason: str) -> InputError:
    return InputError(f"{path} {reason}; wanted a folder of files that can all be copied")


def copy_the_rest(folder: Path, output: Path, done: Collection[Path]) -> None:
    """Copies all files except those already done.

    Args:
        folder: The folder to copy.
        output: The folder to copy to.
        done: The files to leave out, as paths inside the folder.

    Raises:
        InputError: Something cannot be copied.
    """
    for path in files_in(folder):
        name = path.relative_to(folder)
        if path.is_dir():
            (output / name).mkdir(parents=True, exist_ok=True)
        elif name not in done:
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, output / name)


def folder_bytes(folder: Path) -> int:
    """Returns the bytes of all files in a folder.

    Raises:
        InputError: Something in it cannot be copied.
    """
    return sum(path.stat().st_size for path in files_in(folder) if not path.is_dir())
