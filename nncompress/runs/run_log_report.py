"""The log of a run, which agrees with the trainer after failures and continuations."""

from pathlib import Path

from nncompress.chainer_support.compatibility import chainer
from nncompress.runs.log_report import AppendingLogReport
from nncompress.runs.unwritten import Unwritten


class RunLogReport(AppendingLogReport):
    """A log that is rewritten when a run continues, or after it could not be written.

    Args:
        trigger: Trigger that adds an entry.
        filename: Name of the file in the trainer's output directory.
        unwritten: Notes entries that cannot be written.
    """

    def __init__(self, trigger: object, filename: str, unwritten: Unwritten) -> None:
        super().__init__(trigger, filename)
        self._unwritten = unwritten

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Removes entries of later iterations than the one the run continues from."""
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
                self._appending = False  # the next entry rewrites all
                raise
