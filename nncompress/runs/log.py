"""A run's log, including the facts that make the run traceable."""

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

from nncompress.missing import brought_by

with brought_by("train"):
    import logzero

from nncompress.errors import Diverged, InputError, TrainingInterrupted
from nncompress.runs.unwritten import Unwritten

_PACKAGES = ("numpy", "chainer")
_CUPY_PACKAGES = ("cupy-cuda12x", "cupy-cuda13x", "cupy")


class _LogFile(logging.FileHandler):
    """A log file that begins on a new line and notes when it cannot be written."""

    def __init__(self, path: Path, unwritten: Unwritten) -> None:
        if path.is_fifo():  # opening it would wait for a reader
            raise InputError(f"{path} is no ordinary file; wanted a file name for the log")
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
        """Raises the error that is being handled again, for ``emit`` to see."""
        raise

    def close(self) -> None:
        """Flushes and closes the file."""
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
    """Logs to a file; its last lines tell when work ended and its duration.

    Args:
        path: The log file; existing contents are kept, so that a resumed run continues its log.
        started: The time at which the work began.
        farewell: The first closing line; for ``TrainingInterrupted`` and ``Diverged`` it is the
            message of the exception.
        unwritten: Notes when the file cannot be written.

    Yields:
        A function that logs one message.
    """
    logger = logzero.setup_logger(__name__, disableStderrLogger=True)
    handler = _LogFile(path, unwritten)
    handler.setFormatter(logzero.LogFormatter(color=False))
    logger.addHandler(handler)

    def log(message: str) -> None:
        logger.info(message)

    def close(farewell: str) -> None:
        ended = datetime.now()
        log(farewell)
        log(f"EXIT TIME: {ended:%Y%m%d - %H:%M:%S}")
        log(f"Duration: {ended - started}")
        log(f"Remember: log is saved in {path.parent.resolve()}")

    try:
        yield log
        close(farewell)
    except (TrainingInterrupted, Diverged) as end:
        close(str(end))
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def log_provenance(log: Callable[[str], None]) -> None:
    """Logs the command, host, working directory, git commit and diff, and versions."""
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
    """Asks git about the repository of this code; None if there is none."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return None
    return result.stdout.decode(errors="replace").strip() if result.returncode == 0 else None
