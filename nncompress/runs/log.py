"""A run's log, and the facts in it by which a run can be traced."""

import importlib.metadata
import logging
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import logzero
from logzero import logger

from nncompress.errors import Diverged, InputError, TrainingInterrupted
from nncompress.runs.unwritten import Unwritten

_PACKAGES = ("numpy", "chainer")
_CUPY_PACKAGES = ("cupy-cuda12x", "cupy-cuda13x", "cupy")


class _LogFile(logging.FileHandler):
    """A log file that begins on a line of its own, and is told of where it cannot be written."""

    def __init__(self, path: Path, unwritten: Unwritten) -> None:
        if path.is_fifo():  # opening it would wait for a reader
            raise InputError(f"{path} is no ordinary file; wanted the name of one for the log")
        is_cut = path.is_file() and _last_byte(path) not in (b"", b"\n")
        super().__init__(path, encoding="utf-8")
        self._unwritten = unwritten
        self._what = path.name
        if is_cut:  # the process that wrote it was killed
            self.stream.write("\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line."""
        with self._unwritten.trying(self._what):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Lets ``emit`` see what went wrong: it is called while the error is handled."""
        raise

    def close(self) -> None:
        """Writes what is left, and closes the file."""
        with self._unwritten.trying(self._what):
            super().close()


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        return file.read(1)


@contextmanager
def log_to(
    path: Path, started: datetime, farewell: str, unwritten: Unwritten
) -> Iterator[Callable[[str], None]]:
    """Logs to the console and to a file, and closes with when the work ended and how long it took.

    Args:
        path: The log file; what it holds stays, so that a resumed run continues it.
        started: The time at which the work began.
        farewell: The first of the closing lines; that of a ``TrainingInterrupted`` or
            ``Diverged`` is its message.
        unwritten: Takes note where the file cannot be written.

    Yields:
        A function that logs one message.
    """
    handler = _LogFile(path, unwritten)
    handler.setFormatter(logzero.LogFormatter(color=False))
    logger.addHandler(handler)

    def close(farewell: str) -> None:
        ended = datetime.now()
        logger.info(farewell)
        logger.info(f"EXIT TIME: {ended:%Y%m%d - %H:%M:%S}")
        logger.info(f"Duration: {ended - started}")
        logger.info(f"Remember: log is saved in {path.parent.resolve()}")

    try:
        yield logger.info
        close(farewell)
    except (TrainingInterrupted, Diverged) as end:
        close(str(end))
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def log_provenance(log: Callable[[str], None]) -> None:
    """Logs the command, host, working directory, git commit and difference, and versions."""
    log(f"Command: {shlex.join(sys.argv)}")
    log(f"Host: {socket.gethostname()} ({platform.platform()})")
    log(f"Working directory: {Path.cwd()}")
    commit = _git("rev-parse", "HEAD")
    if commit is not None:
        log(f"Git commit: {commit}")
        log(f"Git diff: {_git('diff', 'HEAD') or 'none'}")
    log(f"Python: {platform.python_version()}")
    for package in _PACKAGES:
        log(f"{package}: {_version(package) or 'not installed'}")
    cupy = [f"{version} ({name})" for name in _CUPY_PACKAGES if (version := _version(name))]
    log(f"cupy: {', '.join(cupy) or 'not installed'}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Asks git about the repository this code lies in; None where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return None
    return result.stdout.decode(errors="replace").strip() if result.returncode == 0 else None
