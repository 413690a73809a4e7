"""A line for each epoch, in the form of the paper authors' code."""

import time
from collections.abc import Callable

from nncompress.chainer_support.compatibility import chainer
from nncompress.training.best import validation_objective
from nncompress.training.stops import Stops
from nncompress.training.triggers import ReportTrigger

# The authors' code marks and saves a model whose validation loss is at most this share of that of
# the last model it marked.
_IMPROVEMENT = 0.999


class EpochReport(chainer.training.Extension):
    """Reports each epoch, and the end of training, in one line; a star marks an improvement.

    ``[epoch198] train_loss=12.82 train_maxp=0.98 valid_loss=12.50 valid_maxp=0.98 bps=618 *``

    Args:
        last_iteration: The iteration that training ends with.
        report: Called with each line.
        starred: Called with the autoencoder when a line has a star, that is, when the validation
            loss is at most 0.999 of that at the last star.
    """

    name = default_name = "EpochReport"

    def __init__(
        self,
        last_iteration: int,
        report: Callable[[str], None],
        starred: Callable[[chainer.Chain], None] = lambda chain: None,
    ) -> None:
        self._trigger = ReportTrigger(last_iteration, epochs=True)
        self._report = report
        self._starred = starred
        self._best: float | None = None
        self._summary = chainer.reporter.DictSummary()
        self._iteration = 0
        self._time = time.perf_counter()

    def update_stops(self) -> Stops:
        """Returns the iterations at which updates must end for this extension."""
        return self._trigger.update_stops()

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Records the iteration at which training begins."""
        self._iteration = trainer.updater.iteration

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Adds the iteration's observation, and reports if it ends an epoch."""
        self._summary.add(trainer.observation)
        if not self._trigger(trainer):
            return
        mean = self._summary.compute_mean()
        updater = trainer.updater
        now = time.perf_counter()
        rate = (updater.iteration - self._iteration) / max(now - self._time, 1e-9)
        loss = float(trainer.observation["validation/main/loss"])
        objective = validation_objective(trainer.observation)
        star = self._best is None or objective <= self._best * _IMPROVEMENT
        if star:
            self._best = objective
            self._starred(updater.chain)
        # Epochs count from 0; training that ends inside an epoch is reported under it.
        epoch = updater.epoch - 1 if updater.is_new_epoch else updater.epoch
        self._report(
            f"[epoch{epoch}] train_loss={mean['main/loss']:.5g} "
            f"train_maxp={mean['main/maxp']:.2f} valid_loss={loss:.5g} "
            f"valid_maxp={trainer.observation['validation/main/maxp']:.2f} bps={rate:.0f}"
            + (" *" if star else "")
        )
        self._summary = chainer.reporter.DictSummary()
        self._iteration = updater.iteration
        self._time = time.perf_counter()
