"""The progress of a run on the console: a table of losses, and how far training is."""

import time
from typing import TextIO

from nncompress.chainer_support.compatibility import chainer

_LINES = 10
_REDRAWN = 400


class PlainTable(chainer.training.extensions.PrintReport):
    """Chainer's ``PrintReport`` without the control characters that make room for a bar.

    Args:
        entries: Names of the columns.
        log_report: Name of the ``LogReport`` whose entries are the rows.
        out: Stream to print to.
    """

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Prints the rows that are new, the first time under a heading."""
        if self._header:
            self._out.write(self._header)
            self._header = None
        log = trainer.get_extension(self._log_report).log
        for entry in log[self._log_len :]:
            self._print(entry)
        self._log_len = len(log)


class PlainProgress(chainer.training.Extension):
    """Prints how far training is: at most ten lines, for those who wait.

    ``  4000 of 12000 iterations, 1,600 a second``

    Args:
        last_iteration: The iteration that training ends with.
        out: Stream to print to.
        seconds: The least time between two lines, so that a quick run prints none.
    """

    default_name = "progress"

    def __init__(self, last_iteration: int, out: TextIO, seconds: float = 10.0) -> None:
        self._last = last_iteration
        self._out = out
        self._seconds = seconds

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Takes note of where training begins."""
        self._iteration, self._time = trainer.updater.iteration, trainer.elapsed_time

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Prints a line, if another tenth is done and enough time has passed."""
        iteration, now = trainer.updater.iteration, trainer.elapsed_time
        elapsed = now - self._time
        is_tenth = _LINES * iteration // self._last > _LINES * self._iteration // self._last
        if not is_tenth or iteration >= self._last or elapsed < self._seconds:
            return
        rate = (iteration - self._iteration) / elapsed
        speed = f"{rate:,.0f} a second" if rate >= 1 else f"{1 / rate:,.0f} seconds each"
        self._out.write(f"  {iteration} of {self._last} iterations, {speed}\n")
        self._out.flush()
        self._iteration, self._time = iteration, now


class TerminalProgress(chainer.training.extensions.ProgressBar):
    """Chainer's ``ProgressBar``, except that its first estimate is one too.

    Chainer's begins to measure when it is first drawn, and prints an infinite speed then.

    Args:
        last_iteration: The iteration that training ends with.
        stride: The most steps of an update.
        out: The terminal.
    """

    default_name = "progress"

    def __init__(self, last_iteration: int, stride: int, out: TextIO) -> None:
        interval = stride * max(1, last_iteration // (_REDRAWN * stride))
        super().__init__(update_interval=interval, out=out)

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Begins to measure."""
        updater = trainer.updater
        # A moment ago: a coarse clock may show the same time at the first update.
        began = time.time() - 1e-3
        self._pbar._recent_timing.append((updater.iteration, updater.epoch_detail, began))


def report_on_console(
    trainer: chainer.training.Trainer, columns: tuple[str, ...], log_report: str, out: TextIO
) -> tuple[chainer.training.Extension, chainer.training.Extension]:
    """Chooses the extensions that suit where they print: a terminal, or a file or pipe.

    Args:
        trainer: The trainer; its stop trigger knows the last iteration.
        columns: Names of the table's columns.
        log_report: Name of the ``LogReport`` whose entries are the table's rows.
        out: Stream to print to.

    Returns:
        The table, to be called whenever that log has a new entry, and the progress, to be called
        after each update.
    """
    last, _ = trainer.stop_trigger.get_training_length()
    if out.isatty():
        table = chainer.training.extensions.PrintReport(columns, log_report, out=out)
        return table, TerminalProgress(last, trainer.updater.stride, out)
    return PlainTable(columns, log_report, out=out), PlainProgress(last, out)
