"""The directory that keeps compiled kernels, to which nobody else can have written.

Numba keeps compiled code as pickles, and whoever writes a pickle can run code where it is read. So
the directory and everything in it must belong to this user, and the path to it must be safe: each
directory above it belongs to this user, to root or to the owner of this package, and nobody else
may write to it, unless, as in ``/tmp``, only the owner of an entry may remove it.

Numba only notices changes in the file of the outermost function. So that changes in other files
count too, the directory is named after the contents of all files here. The directories of other
versions are kept until they have not been used for a month.
"""

import hashlib
import os
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numba

_HERE = Path(__file__).parent
_LEAST_FREE = 32 << 20  # bytes; the kernels for one processor take 8 MB
_MINUTE = 60.0
_DAY = 86_400.0
_UNUSED_DAYS = 30


class _UnsafeError(Exception):
    """A directory that must not be used."""


def _choose() -> str:
    """Returns the directory; an empty string, with a warning, if there is none."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.read_bytes())
    reasons = []
    for base in _bases():
        try:
            directory = _claim(base, digest.hexdigest()[:16])
        except (OSError, _UnsafeError) as error:
            reasons.append(f"{base}: {error.strerror if isinstance(error, OSError) else error}")
            continue
        if reasons and numba.config.CACHE_DIR:
            warnings.warn(
                f"NUMBA_CACHE_DIR is not used ({reasons[0]}); compiled kernels are kept in "
                f"{directory}",
                stacklevel=2,
            )
        return directory
    warnings.warn(
        "kernels are compiled every time, which takes about twenty seconds, because no directory "
        f"is safe to keep them in ({'; '.join(reasons)}); set NUMBA_CACHE_DIR to one of your own",
        stacklevel=2,
    )
    return ""


def _bases() -> Iterator[Path]:
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
    yield _HERE / "__pycache__"
    with suppress(RuntimeError):  # there is no home directory
        yield Path.home() / ".cache"


def _claim(base: Path, name: str) -> str:
    """Creates a directory below another one, or accepts an existing one of this user's own."""
    base.mkdir(parents=True, exist_ok=True)
    ours = Path(os.path.realpath(base)) / "nncompress-kernels"
    directory = ours / name
    for path in (ours, directory):
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        _check_own(path)
    _check_way(ours)
    if os.name == "posix" and directory.stat().st_mode & 0o077:
        raise _UnsafeError(f"{directory} is accessible to others")
    for parent, directories, files in os.walk(directory):
        for entry in directories:
            _check_own(Path(parent, entry))
        for entry in files:
            _check_file(Path(parent, entry))
    free = shutil.disk_usage(directory).free
    if free < _LEAST_FREE:
        raise _UnsafeError(f"only {free:,} bytes are free")
    tempfile.TemporaryFile(dir=directory).close()
    os.utime(directory)
    _remove_unused(ours)
    return str(directory)


def _check_way(path: Path) -> None:
    """Refuses a path in which somebody else could replace a directory."""
    if os.name != "posix":
        return
    trusted = (os.geteuid(), 0, _HERE.stat().st_uid)
    for part in (path, *path.parents):
        status = part.stat()
        if status.st_uid not in trusted:
            raise _UnsafeError(f"{part} belongs to another user")
        if status.st_mode & stat.S_ISVTX:
            continue
        by_group = status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
        if by_group or status.st_mode & stat.S_IWOTH:
            raise _UnsafeError(f"others may write to {part}")


def _is_own_group(number: int) -> bool:
    """Tells whether this user is a group's only member, as with a group for each user."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    alone = set(group.gr_mem) <= {user.pw_name}
    return alone and (group.gr_name, number) == (user.pw_name, user.pw_gid)


def _check_own(path: Path) -> None:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _UnsafeError(f"{path} is not a directory")
    _check_owner(path, status)


def _check_file(path: Path) -> None:
    """Refuses a file of somebody else, and removes one that a process left incomplete."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return  # another process has renamed it to its final name
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise _UnsafeError(f"{path} is a link or not a file")
    _check_owner(path, status)
    age = time.time() - status.st_mtime
    # A file that another process has just begun to write is empty too.
    forgotten = age > _DAY if ".tmp." in path.name else status.st_size == 0 and age > _MINUTE
    if forgotten:
        path.unlink(missing_ok=True)


def _check_owner(path: Path, status: os.stat_result) -> None:
    if os.name == "posix" and status.st_uid != os.geteuid():
        raise _UnsafeError(f"{path} belongs to another user")


def _remove_unused(ours: Path) -> None:
    """Removes the kernels of versions that have not been used for a long time."""
    for other in ours.iterdir():
        with suppress(OSError):
            if other.lstat().st_mtime < time.time() - _UNUSED_DAYS * _DAY:
                shutil.rmtree(other)


DIRECTORY = _choose()
