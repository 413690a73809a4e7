"""A log that entries are appended to, and summaries of observations as its entries."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from nncompress.chainer_support.compatibility import chainer
from nncompress.formats.files import atomic_path
from nncompress.formats.strict_json import strict_json
from nncompress.training.stops import Stops

_END = b"\n]\n"


class WindowSummary(chainer.reporter.DictSummary):
    """A summary of the iterations since the last entry.

    The values that updates report (``main/...``) are averaged, weighted by the number of steps.
    For everything else, such as the validation loss, the latest value counts: averaging it with
    earlier measurements would give a value that was never measured.
    """

    def add(self, observation: Mapping[str, object]) -> None:
        """Adds an observation."""
        for key in observation:
            if not key.startswith("main/"):
                self._summaries.pop(key, None)
        super().add(observation)


class AppendingLogReport(chainer.training.extensions.LogReport):
    """Chainer's ``LogReport``, except that it appends to its file.

    Chainer's rewrites the whole log for each entry, which takes longer and longer. After every
    entry, the file is the same JSON list, with null in place of values that are not finite.

    Args:
        trigger: Trigger that adds an entry, a ``WindowSummary`` of the observations since the
            last one.
        filename: Name of the file in the trainer's output directory; None for no file.
    """

    def __init__(self, trigger: object, filename: str | None) -> None:
        super().__init__(trigger=trigger, log_name=filename)
        self._appending = False

    def update_stops(self) -> Stops:
        """Returns the iterations at which it acts."""
        return self._trigger.update_stops()

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Adds the observation to the summary, and an entry to the log if it is time."""
        self._summary.add(trainer.observation)
        if not self._trigger(trainer):
            return
        entry = {key: float(value) for key, value in self._summary.compute_mean().items()}
        entry["epoch"] = trainer.updater.epoch
        entry["iteration"] = trainer.updater.iteration
        entry["elapsed_time"] = trainer.elapsed_time
        self._log.append(entry)
        self._init_summary()
        if self._log_name is not None:
            self._write(Path(trainer.out) / self._log_name)

    def _write(self, path: Path) -> None:
        if not self._appending:  # the file may have entries that a resumed run dropped
            with atomic_path(path) as temporary:
                entries = ",\n".join(map(strict_json, self._log))
                temporary.write_bytes(b"[\n" + entries.encode() + _END)
            self._appending = True
            return
        with path.open("r+b", buffering=0) as file:
            try:
                append(file, strict_json(self._log[-1]).encode())
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from error

    def _init_summary(self) -> None:
        self._summary = WindowSummary()


def append(file: BinaryIO, entry: bytes) -> None:
    """Appends an entry to a JSON list; if that fails, the list stays as it was.

    Args:
        file: An unbuffered file that holds the list, which is not empty.
        entry: The entry as JSON.

    Raises:
        OSError: The entry cannot be written, for example for lack of space.
    """
    end = file.seek(-len(_END), os.SEEK_END)
    rest = b",\n" + entry + _END
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        file.seek(end)
        file.write(_END)  # where it was before
        file.truncate()
        raise
