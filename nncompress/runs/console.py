"""A run's table of losses on the console."""

from nncompress.chainer_support.compatibility import chainer
from nncompress.progress import hidden


class LossTable(chainer.training.extensions.PrintReport):
    """Chainer's ``PrintReport`` without its control characters, beside the line of progress.

    Args:
        entries: Names of the columns.
        log_report: Name of the ``LogReport`` whose entries are the rows.
        out: Stream to print to.
    """

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Prints the new rows, the first time under a heading."""
        with hidden():
            if self._header:
                self._out.write(self._header)
                self._header = None
            log = trainer.get_extension(self._log_report).log
            for entry in log[self._log_len :]:
                self._print(entry)
            self._log_len = len(log)
            self._out.flush()
