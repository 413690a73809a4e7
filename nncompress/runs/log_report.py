"""A log that grows by appending, and how observations become its entries."""

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

    The values that updates report (``main/...``) are averaged, with the number of steps as their
    weight. Of everything else, such as the validation loss, the latest value counts: it was
    measured, and a mean with what was measured before it would be no measurement.
    """

    def add(self, observation: Mapping[str, object]) -> None:
        """Takes an observation in."""
        for key in observation:
            if not key.startswith("main/"):
                self._summaries.pop(key, None)
        super().add(observation)


class AppendingLogReport(chainer.training.extensions.LogReport):
    """Chainer's ``LogReport``, except that it appends to its file.

    Chainer's writes the whole log anew for each entry, which takes longer and longer. The file is
    the same JSON list after every entry, with null for what is not finite.

    Args:
        trigger: Trigger that adds an entry, a ``WindowSummary`` of what was observed since the
            last.
        filename: Name of the file in the trainer's output directory; None for no file.
    """

    def __init__(self, trigger: object, filename: str | None) -> None:
        super().__init__(trigger=trigger, log_name=filename)
        self._appending = False

    def update_stops(self) -> Stops:
        """Returns the iterations at which it acts."""
        return self._trigger.update_stops()

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Takes the observation in, and adds an entry if it is time."""
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
        if not self._appending:  # what a resumed run has not kept may be in the file
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
    """Appends an entry to a JSON list, which stays as it was where that fails.

    Args:
        file: The list, not empty, in a file without a buffer.
        entry: The entry as JSON.

    Raises:
        OSError: It cannot be written, for lack of space for instance.
    """
    end = file.seek(-len(_END), os.SEEK_END)
    rest = b",\n" + entry + _END
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        file.seek(end)
        file.write(_END)  # in the place that it had
        file.truncate()
        raise
