"""Writing files so that a final name only ever holds a complete file that is on the disk.

A file is written into a directory that belongs to the process, beside its final place, is
synchronized with the disk, and then renamed. Files that belong together are renamed together: a
note that lists them is put on the disk before the first one is renamed. If a process dies in
between, the next process that writes there finishes its work. Anything that dead processes have
left without such a note is removed.
"""

import errno
import filecmp
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nncompress.errors import InputError, OutputError
from nncompress.formats.locks import OwnDirectory

_STAGING = (".nncompress-", ".tmp")
_SCRATCH = (".nncompress-", ".scratch")
_NOTE = "complete.json"
_MOST_NOTE_BYTES = 1 << 20
# Directories that files are currently being written into.
_staging: set[Path] = set()


def what_is(path: Path) -> str:
    """Returns, for messages, what a path is if it is not the regular file that was wanted."""
    if path.is_dir():
        return "is a directory"
    return "is not a regular file" if path.exists() else "does not exist"


def check_output(path: str | os.PathLike, inputs: Iterable[object] = ()) -> None:
    """Refuses an output that cannot be written, before any long work is done.

    Missing parent directories are created.

    Args:
        path: The file to be written.
        inputs: Paths that it must not be; objects that are not paths are ignored.

    Raises:
        InputError: It is a directory, not a regular file, or one of the inputs.
        OutputError: Nothing can be written there.
    """
    path = Path(path)
    with _naming(path):
        if path.is_dir():
            raise InputError(f"{path} is a directory; wanted the name of a file")
        if path.exists():
            if not path.is_file():
                raise InputError(f"{path} is not a regular file; wanted the name of one")
            for other in inputs:
                if not isinstance(other, (str, os.PathLike)):
                    continue
                if Path(other).exists() and path.samefile(other):
                    raise InputError(
                        f"{path} is the input itself; wanted another name for the output"
                    )
    check_place(path)


def check_place(path: Path) -> None:
    """Refuses an output in a place where nothing can be written.

    Missing parent directories are created.

    Args:
        path: The file or directory to be written.

    Raises:
        OutputError: Nothing can be written there.
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The name is tried too: it may be longer than the file system allows.
        path.is_symlink()
        with tempfile.TemporaryFile(prefix=_STAGING[0], dir=path.parent):
            pass


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path that takes the name of ``path`` when the block succeeds.

    Args:
        path: The final name. Missing parent directories are created. A symbolic link is kept, and
            its target is replaced.

    Yields:
        A path with the same file name. If the block raises, it is removed, and whatever was at
        ``path`` is left untouched.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: str | os.PathLike) -> Iterator[tuple[Path, ...]]:
    """Yields temporary paths for files that belong together and take their names together.

    Within the block, ``atomic_path`` of one of the yielded paths is that path itself.

    Args:
        paths: The final names, all in one directory.

    Yields:
        A path with the same file name for each. If the block raises, they are removed, and
        whatever was at ``paths`` is left untouched.

    Raises:
        OutputError: A file cannot be written.
    """
    finals = [Path(os.path.realpath(path)) for path in paths]
    directory = finals[0].parent
    if any(final.parent != directory for final in finals):
        raise OutputError(
            f"{_named(Path(path) for path in paths)} cannot be written: they belong together, but "
            "are in several directories, perhaps because of a symbolic link; remove the link"
        )
    if directory in _staging:
        yield tuple(finals)
        return
    with _naming(*finals):
        directory.mkdir(parents=True, exist_ok=True)
        clear_up(directory)
        own = OwnDirectory.make(directory, *_STAGING)
        _staging.add(own.path)
        complete = False
        try:
            temporaries = tuple(own.path / final.name for final in finals)
            yield temporaries
            for temporary, final in zip(temporaries, finals, strict=True):
                if final.exists():
                    with suppress(OSError):  # a file system may not support modes
                        shutil.copymode(final, temporary)
                _synchronize(temporary)
            if len(finals) > 1:
                _write_note(own.path, finals)
                complete = True
            for temporary, final in zip(temporaries, finals, strict=True):
                temporary.replace(final)
            _synchronize(directory)
            complete = False  # nothing is left to rename
        except OSError as error:
            if not complete:
                raise
            raise OutputError(
                f"{_named(finals)} cannot take their names ({error.strerror}); they are complete "
                f"in {own.path}, and will take them when something is next written to {directory}",
                error.errno,
            ) from None
        finally:
            _staging.discard(own.path)
            if complete and _finish(own.path, directory) is None:
                own.leave()
            else:
                own.remove()


@contextmanager
def atomic_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary directory that takes the name of ``path`` when the block succeeds.

    Within the block, ``atomic_path`` of a file in it is that file itself.

    Args:
        path: The final name, which must not exist. Missing parent directories are created.

    Yields:
        The directory. If the block raises, it is removed.

    Raises:
        OutputError: The directory cannot be written.
    """
    final = Path(os.path.realpath(path))
    with _naming(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        clear_up(final.parent)
        own = OwnDirectory.make(final.parent, *_STAGING)
        temporary = own.path / final.name
        _staging.add(temporary)
        try:
            temporary.mkdir()
            yield temporary
            for each in temporary.rglob("*"):
                _synchronize(each)
            _synchronize(temporary)
            # Renaming fails if a directory of this name exists, unless it is empty.
            temporary.rename(final)
            _synchronize(final.parent)
        finally:
            _staging.discard(temporary)
            own.remove()


def clear_up(directory: str | os.PathLike) -> None:
    """Finishes or removes what dead processes have left in a directory.

    Call it before writing there, or before reading files that belong together.

    Args:
        directory: The directory.
    """
    directory = Path(os.path.realpath(directory))
    for own in OwnDirectory.abandoned(directory, *_STAGING):
        finished = _finish(own.path, directory) if (own.path / _NOTE).is_file() else []
        if finished is None:
            own.leave()
            continue
        own.remove()
        if finished:
            warnings.warn(
                f"{directory}: {', '.join(finished)} were complete when the process that wrote "
                "them died, and now have their final names",
                stacklevel=3,
            )


def refuse_replacing(new: Path, existing: Path) -> None:
    """Refuses to replace a file that the user has not named, unless the new one is the same.

    Args:
        new: The new file.
        existing: The file that it would replace, which need not exist.

    Raises:
        InputError: It holds something else.
    """
    if existing.exists() and not filecmp.cmp(new, existing, shallow=False):
        raise InputError(
            f"{existing} already exists and would be replaced by another; move it away, or "
            "name another output"
        )


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Yields a temporary directory that is removed at the end, if need be by a later process.

    Raises:
        OutputError: It cannot be created.
    """
    parent = Path(tempfile.gettempdir())
    for dead in OwnDirectory.abandoned(parent, *_SCRATCH):
        dead.remove()
    with _naming(parent / "a temporary file"):
        own = OwnDirectory.make(parent, *_SCRATCH)
    try:
        yield own.path
    finally:
        own.remove()


def tidy_up() -> None:
    """Removes what this process would leave behind if it ends without unwinding.

    Files that are already complete take their names.
    """
    for own in OwnDirectory.alive():
        finished = _finish(own.path, own.path.parent) if (own.path / _NOTE).is_file() else []
        if finished is None:
            own.leave()
        else:
            own.remove()


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_note(own: Path, finals: list[Path]) -> None:
    note = own / _NOTE
    entries = [[final.name, _identity(final)] for final in finals]
    note.write_text(json.dumps(entries), encoding="utf-8")
    _synchronize(note)
    _synchronize(own)


def _finish(own: Path, directory: Path) -> list[str] | None:
    """Gives complete files their names, unless others have been written there since.

    Returns:
        The names; None if that failed and should be tried again.
    """
    try:
        if (own / _NOTE).stat().st_size > _MOST_NOTE_BYTES:
            return []
        entries = dict(json.loads((own / _NOTE).read_text(encoding="utf-8")))
        names = [n for n in entries if n == os.path.basename(n) and _is_file(own / n)]
    except (OSError, ValueError, TypeError, RecursionError):
        return []  # it is not a note of ours
    try:
        if any(_identity(directory / name) != entries[name] for name in names):
            warnings.warn(
                f"{directory}: a process died before it gave {', '.join(names)} their names, and "
                "others have been written there since; its files are removed",
                stacklevel=4,
            )
            return []
        for name in names:
            (own / name).replace(directory / name)
        _synchronize(directory)
    except OSError as error:
        warnings.warn(
            f"{directory}: {', '.join(names)} are complete in {own} but cannot take their names: "
            f"{error}",
            stacklevel=4,
        )
        return None
    return names


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _identity(path: Path) -> list[int] | None:
    """Returns data that identify a file; None if it does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _synchronize(path: Path) -> None:
    """Waits until a file, or the names in a directory, are on the disk."""
    is_directory = path.is_dir()
    if is_directory and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if is_directory else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot synchronize, directories above all.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _naming(*finals: Path) -> Iterator[None]:
    """Turns the operating system's errors into ones that name the final files."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if not _concerns(error, finals):
            raise
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason += f", {_free(finals[0].parent)}; free some space, or name another place"
        message = f"{_named(finals)} cannot be written: {reason}"
        raise OutputError(message, error.errno) from error


def _concerns(error: OSError, finals: tuple[Path, ...]) -> bool:
    """Tells whether an error is about the files to be written: it names no other file."""
    # For a copy it names source and target, or only a source that cannot be read.
    filename = error.filename if error.filename2 is None else error.filename2
    if not isinstance(filename, (str, bytes, os.PathLike)):
        return True
    path, directory = Path(os.fsdecode(filename)), finals[0].parent
    ours = path in finals or path == directory or path in directory.parents
    return ours or any(part.startswith(_STAGING[0]) for part in path.parts)


def _free(directory: Path) -> str:
    try:
        return f"{shutil.disk_usage(directory).free:,} bytes are free"
    except OSError:
        return "no space is free"


def _named(finals: Iterable[Path]) -> str:
    return " and ".join(map(str, finals))
