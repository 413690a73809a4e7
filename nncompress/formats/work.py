"""A directory in which a long job keeps what it has computed, so that it can be continued.

Everything in it has a SHA-256 sum, and appears complete or not at all. Damaged parts are treated
as if they had never been computed, with a warning.
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.errors import InputError, OutputError
from nncompress.formats.files import atomic_path, clear_up
from nncompress.formats.locks import Lock
from nncompress.formats.safetensors import map_tensors, write_tensors

_JOB, _STATE = "work.json", ".state"
_MADE_HERE = b"made here\n"
_HIDDEN = ".nncompress-"  # the lock, and files being written
# Seconds between saving two states of ongoing work, and the most that saving may take, as a share
# of the time.
_SELDOM, _SHARE = 30.0, 0.01
_SUM = "sha256"
_MOST_JOB_BYTES = 64 << 20  # enough for a table of thousands of files
_MOST_SHOWN = 200  # characters of a fact in a message


@dataclass(frozen=True)
class State:
    """A result that has been computed.

    Attributes:
        arrays: Read-only arrays by name.
        facts: JSON values by name.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, object]


def is_work_directory(path: str | os.PathLike) -> bool:
    """Tells whether a path is a directory that describes a job."""
    return (Path(path) / _JOB).is_file()


class WorkDirectory:
    """The results of a job so far, and the facts that they depend on.

    ``open`` creates or opens one.

    Attributes:
        path: The directory.
    """

    def __init__(self, path: Path, is_new: bool) -> None:
        self.path = path
        self._is_new = is_new
        self._facts: dict[str, object] = {}
        self._due = time.monotonic() + _SELDOM
        clear_up(path)
        self._read_job()

    @classmethod
    @contextmanager
    def open(cls, path: str | os.PathLike) -> Iterator["WorkDirectory"]:
        """Opens a directory for the exclusive use of this process while the block runs.

        Args:
            path: The directory of a job to continue, an empty directory, or a new name.

        Raises:
            InputError: It holds other files, or is in use by another process.
            OutputError: It cannot be created.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is not a directory; wanted one for the work (--work)")
        is_new = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_others(path)
            lock_path = path / f"{_HIDDEN}lock"
            # If a process died early, nothing else tells who created the directory.
            left = lock_path.read_bytes() if lock_path.is_file() else b""
            is_new = is_new or (left != b"" and _MADE_HERE.startswith(left))
            lock = Lock.take(lock_path)
            if lock is not None and is_new:
                lock.mark(_MADE_HERE)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be used for the work (--work): {error.strerror}", error.errno
            ) from None
        if lock is None:
            raise InputError(
                f"{path} is in use by another process; wait until it has finished, or name "
                "another directory for the work (--work)"
            )
        work = None
        try:
            work = cls(path, is_new)
            yield work
        finally:
            if work is not None and not any(path.glob("*" + _STATE)):
                work.finish()  # there is nothing to continue
            lock.release()
            if work is None or work._is_new:
                with suppress(OSError):  # there is something to continue
                    path.rmdir()

    def require(self, facts: Mapping[str, object]) -> None:
        """Records the facts that the job depends on, or compares them with those recorded.

        Args:
            facts: JSON values by name.

        Raises:
            InputError: A fact differs. The directory is left as it is.
        """
        facts = json.loads(json.dumps(facts))
        for name, value in facts.items():
            if self._facts.get(name, value) != value:
                raise InputError(
                    f"{self.path} holds the work of another job, with {name} "
                    f"{_shown(self._facts[name])} instead of {_shown(value)}; give that job's "
                    "command to continue it, or name another directory (--work)"
                )
        if not facts.keys() <= self._facts.keys():
            self._facts |= facts
            self._write_job()

    def agrees(self, name: str, value: object) -> bool:
        """Tells whether a fact recorded by ``require`` is unchanged."""
        return self._facts.get(name) == json.loads(json.dumps(value))

    def noted(self, name: str) -> object:
        """Returns the fact recorded under a name, or None."""
        return self._facts.get(name)

    def note(self, name: str, value: object) -> None:
        """Records a fact, which is kept until everything saved is removed.

        Args:
            name: The name, which must not be one that ``require`` uses.
            value: A JSON value.

        Raises:
            OutputError: It cannot be written.
        """
        self._facts[name] = json.loads(json.dumps(value))
        self._write_job()

    def load(self, name: str) -> State | None:
        """Returns the state saved under a name; None if there is none, or it is damaged.

        Args:
            name: The name.
        """
        path = self.state_path(name)
        if not path.is_file():
            return None
        try:
            file = map_tensors(path)
            facts = json.loads(file.metadata["facts"])
            intact = file.metadata[_SUM] == _sum_of(file.metadata["facts"], file.tensors)
        except (InputError, KeyError, ValueError, OSError):
            intact = False
        if intact:
            return State(file.tensors, facts)
        self.discard_damaged(name)
        return None

    def save(
        self, name: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, object]
    ) -> None:
        """Saves a state, replacing any earlier one of that name.

        Args:
            name: The name.
            arrays: Arrays by name.
            facts: JSON values by name.

        Raises:
            OutputError: It cannot be written.
        """
        started = time.monotonic()
        text = json.dumps(dict(facts))
        ordered = dict(sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize))
        write_tensors(
            self.state_path(name), ordered, {"facts": text, _SUM: _sum_of(text, ordered)}
        )
        now = time.monotonic()
        self._due = now + max(_SELDOM, (now - started) / _SHARE)

    def is_due(self) -> bool:
        """Tells whether the last ``save`` was so long ago that work should be saved again."""
        return time.monotonic() >= self._due

    def state_path(self, name: str) -> Path:
        """Returns the path of a state's file."""
        return self.path / f"{name}{_STATE}"

    def discard(self, name: str) -> None:
        """Removes the state saved under a name, which is no longer needed."""
        self.state_path(name).unlink(missing_ok=True)

    def discard_damaged(self, name: str) -> None:
        """Removes the damaged state saved under a name, with a warning."""
        path = self.state_path(name)
        warnings.warn(f"{path} is damaged; that part of the work will be done again", stacklevel=3)
        path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Removes everything saved; ``open`` then removes the directory, if it created it."""
        # The description goes last: without it, no one could tell what the other files are.
        states = [entry for entry in self.path.iterdir() if entry.suffix == _STATE]
        for path in (*states, self.path / _JOB):
            if path.is_file():
                path.unlink()

    def _read_job(self) -> None:
        path = self.path / _JOB
        if not path.exists():
            return
        try:
            if not path.is_file() or path.stat().st_size > _MOST_JOB_BYTES:
                raise ValueError("no description of a job")
            job = json.loads(path.read_text(encoding="utf-8"))
            if job.pop(_SUM) == _sum_of(json.dumps(job), {}):
                self._facts, self._is_new = job["facts"], job["is new"]
                return
        except (OSError, ValueError, KeyError, AttributeError, RecursionError):
            pass
        raise InputError(
            f"{path} is not the description of a compression job, or is damaged; name another "
            f"directory for the work (--work), or remove {self.path} to start again"
        )

    def _write_job(self) -> None:
        job = {"facts": self._facts, "is new": self._is_new}
        job[_SUM] = _sum_of(json.dumps(job), {})
        with atomic_path(self.path / _JOB) as temporary:
            temporary.write_text(json.dumps(job, indent=1), encoding="utf-8")


def _shown(value: object) -> str:
    """Returns a fact as text for a message, truncated if it is long."""
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _refuse_others(path: Path) -> None:
    """Refuses a directory with other files in it."""
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(_HIDDEN))
    if _JOB in names:
        names = [name for name in names if name != _JOB and not name.endswith(_STATE)]
    if names:
        raise InputError(
            f"{path} holds other files ({', '.join(names[:3])}); wanted a new or empty directory "
            "for the work (--work), or that of the job to continue"
        )


def _sum_of(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 sum of a text and of arrays, with their names, types and shapes."""
    state = hashlib.sha256(text.encode("utf-8"))
    for name, array in sorted(arrays.items()):
        state.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()
