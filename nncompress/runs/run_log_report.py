"""The log of a run, which stays what the trainer knows through failures and continuations."""

from pathlib import Path

from nncompress.chainer_support.compatibility import chainer
from nncompress.runs.log_report import AppendingLogReport
from nncompress.runs.unwritten import Unwritten


class RunLogReport(AppendingLogReport):
    """A log that is made anew when a run goes on, and where it could not be written before.

    Args:
        trigger: Trigger that adds an entry.
        filename: Name of the file in the trainer's output directory.
        unwritten: Takes note of entries that cannot be written.
    """

    def __init__(self, trigger: object, filename: str, unwritten: Unwritten) -> None:
        super().__init__(trigger, filename)
        self._unwritten = unwritten

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Removes the entries of iterations that the run has gone back behind."""
        path = Path(trainer.out) / self._log_name
        if self._log:
            self._write(path)
            return
        with self._unwritten.trying(path.name):
            path.unlink(missing_ok=True)

    def _write(self, path: Path) -> None:
        with self._unwritten.trying(path.name):
            try:
                super()._write(path)
            except OSError:
                self._appending = False  # it is written whole the next time
                raise
