"""Locks that die with the process that holds them, and directories that belong to a process."""

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

_LOCK_FILE = "lock"
_MARK = b"a temporary directory of chainer-nncompress\n"
_TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_OPEN = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """A lock on a file, which the operating system releases when the process ends.

    It keeps out other processes, and other holders in this process. Use ``take`` to get one.

    Attributes:
        path: The file.
        is_held: False on file systems without locks, where everyone gets one.
    """

    def __init__(self, path: Path, descriptor: int, is_held: bool) -> None:
        self.path = path
        self.is_held = is_held
        self._descriptor: int | None = descriptor
        self._process = os.getpid()

    @classmethod
    def take(cls, path: Path, *, new: bool = False) -> "Lock | None":
        """Takes a lock.

        Args:
            path: The file, which is created if it is missing.
            new: Whether to take the lock only if the file is missing.

        Returns:
            The lock; None if someone else has it.

        Raises:
            OSError: The file cannot be opened.
        """
        while True:
            try:
                made = os.O_CREAT | os.O_EXCL if new else os.O_CREAT
                descriptor = os.open(path, _OPEN | made, 0o600)
            except FileExistsError:
                return None
            held = True
            try:
                _try_lock(descriptor)
            except OSError as error:
                if error.errno in _TAKEN:
                    os.close(descriptor)
                    return None
                held = False
            # Its previous holder may have removed the file in between.
            if _is_the_file(path, descriptor):
                return cls(path, descriptor, held)
            os.close(descriptor)
            if new:
                return None

    def release(self) -> None:
        """Releases the lock and removes its file. A forked child only drops its reference."""
        descriptor = self._descriptor
        if descriptor is not None and self._process == os.getpid():
            with suppress(OSError):
                if _is_the_file(self.path, descriptor):
                    self.path.unlink()
        self.leave()

    def leave(self) -> None:
        """Releases the lock and keeps its file."""
        # Even if interrupted, never close a descriptor twice: it may be another file's by then.
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # nothing is lost
                os.close(descriptor)

    def mark(self, content: bytes) -> None:
        """Writes into the file."""
        if self._descriptor is not None:
            os.write(self._descriptor, content)


def _is_the_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class OwnDirectory:
    """A directory that belongs to this process; once the process is dead, others may remove it.

    ``make`` creates one, and ``abandoned`` finds those of dead processes.

    Attributes:
        path: The directory, which only this user may read.
    """

    _alive: ClassVar[set["OwnDirectory"]] = set()

    def __init__(self, path: Path, lock: Lock | None = None) -> None:
        self.path = path
        self._lock = lock
        self._process = os.getpid()
        self._alive.add(self)

    @classmethod
    def alive(cls) -> list["OwnDirectory"]:
        """Returns the ones that this process has made or found, and neither removed nor left."""
        return [own for own in cls._alive if own._process == os.getpid()]

    @classmethod
    def make(cls, parent: Path, prefix: str, suffix: str = "") -> "OwnDirectory":
        """Creates a directory.

        Args:
            parent: The directory to create it in.
            prefix: The beginning of its name.
            suffix: The end of its name.

        Raises:
            OSError: It cannot be created.
        """
        while True:
            path = parent / f"{prefix}{secrets.token_hex(4)}{suffix}"
            if os.path.lexists(path):
                continue
            own = cls(path)  # registered before it exists, so that no interruption loses it
            try:
                path.mkdir(mode=0o700)
                # Another process that clears up may take the lock first, or remove the directory.
                own._lock = Lock.take(path / _LOCK_FILE, new=True)
                if own._lock is not None:
                    own._lock.mark(_MARK)
            except OSError as error:
                cls._alive.discard(own)
                with suppress(OSError):
                    path.rmdir()
                if not isinstance(error, FileExistsError | FileNotFoundError) or (
                    not parent.is_dir()
                ):
                    raise
                continue
            if own._lock is not None:
                return own
            cls._alive.discard(own)

    @classmethod
    def abandoned(cls, parent: Path, prefix: str, suffix: str = "") -> Iterator["OwnDirectory"]:
        """Yields directories of this user whose processes are dead.

        Args:
            parent: The directory that they are in.
            prefix: The beginning of their names.
            suffix: The end of their names.

        Yields:
            A directory, which now belongs to this process, to be removed or left.
        """
        pattern = re.compile(re.escape(prefix) + "[0-9a-f]{8}" + re.escape(suffix))
        try:
            with os.scandir(parent) as entries:
                found = [
                    Path(e.path) for e in entries if pattern.fullmatch(e.name) and _is_ours(e)
                ]
        except OSError:
            return
        for path in found:
            try:
                lock = Lock.take(path / _LOCK_FILE) if _is_marked(path) else None
            except OSError:
                continue
            if lock is None:
                continue
            if lock.is_held:
                yield cls(path, lock)
            else:
                lock.release()

    def leave(self) -> None:
        """Leaves the directory to the next process."""
        if self._process != os.getpid():
            return
        self._alive.discard(self)
        if self._lock is not None:
            self._lock.leave()

    def remove(self) -> None:
        """Removes the directory and everything in it. A forked child leaves it to its parent."""
        if self._process != os.getpid():
            return
        with suppress(OSError):
            for entry in self.path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != _LOCK_FILE:
                    entry.unlink()
        try:
            is_empty = not any(entry.name != _LOCK_FILE for entry in self.path.iterdir())
        except OSError:
            is_empty = False
        if not is_empty:
            self.leave()  # the next process recognizes it by its lock file
            return
        if self._lock is not None:
            self._lock.release()
        with suppress(OSError):
            self.path.rmdir()
        self._alive.discard(self)


def _is_marked(path: Path) -> bool:
    """Tells whether we created a directory, judging by more than its name.

    A process may have died before marking it, when it held nothing but the lock.
    """
    lock = path / _LOCK_FILE
    if not os.path.lexists(lock):
        return not any(path.iterdir())
    if not lock.is_file() or lock.is_symlink():
        return False
    with lock.open("rb") as file:
        begin = file.read(len(_MARK))
    if begin == _MARK:
        return True
    return _MARK.startswith(begin) and [entry.name for entry in path.iterdir()] == [_LOCK_FILE]


def _is_ours(entry: os.DirEntry) -> bool:
    if not entry.is_dir(follow_symlinks=False):
        return False
    return not hasattr(os, "geteuid") or entry.stat(follow_symlinks=False).st_uid == os.geteuid()
