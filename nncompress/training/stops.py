"""The iterations at which updates of many steps must end, so that extensions can act."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from nncompress.chainer_support.compatibility import chainer

_extensions = chainer.training.extensions
_triggers = chainer.training.triggers


@dataclass(frozen=True)
class Stops:
    """A set of iterations.

    Attributes:
        iterations: Periods in iterations; each multiple of one is in the set.
        at_iterations: Single iterations.
        epochs: Periods in passes over the rows; the first iteration to reach each multiple of one
            is in the set.
        at_epochs: Single numbers of passes; the first iteration to reach each is in the set.
    """

    iterations: frozenset[float] = frozenset()
    at_iterations: frozenset[float] = frozenset()
    epochs: frozenset[float] = frozenset()
    at_epochs: frozenset[float] = frozenset()

    def __or__(self, other: "Stops") -> "Stops":
        return Stops(
            self.iterations | other.iterations,
            self.at_iterations | other.at_iterations,
            self.epochs | other.epochs,
            self.at_epochs | other.at_epochs,
        )

    @property
    def every_iteration(self) -> bool:
        """Whether all iterations are in the set."""
        return any(period <= 1 for period in self.iterations)

    def include(self, iteration: int, iterator: chainer.dataset.Iterator) -> bool:
        """Tells whether an iteration is in the set.

        The comparisons are those of Chainer's triggers, so that rounding is the same.

        Args:
            iteration: The iteration.
            iterator: The iterator, which has just returned that iteration's batch.
        """
        before = iteration - 1
        if any(before // period != iteration // period for period in self.iterations):
            return True
        if any(before < point <= iteration for point in self.at_iterations):
            return True
        if not (self.epochs or self.at_epochs):
            return False
        before, now = iterator.previous_epoch_detail, iterator.epoch_detail
        return any(before // period != now // period for period in self.epochs) or any(
            before < point <= now for point in self.at_epochs
        )


EVERY_ITERATION = Stops(iterations=frozenset({1}))


def stops_of(trainer: chainer.training.Trainer) -> Stops:
    """Finds the iterations at which a trainer's extensions and its stop trigger may act.

    Triggers and extensions with a method ``update_stops`` are asked, and Chainer's own are known.
    All others, including functions without a trigger, are assumed to need every iteration; if that
    makes updates shorter, a warning names them.

    Args:
        trainer: The trainer, before its next update, with all its extensions.
    """
    done = trainer.updater.iteration
    found = {"stop trigger": _of_trigger(trainer.stop_trigger, done)}
    found |= {name: _of_entry(entry, done) for name, entry in trainer._extensions.items()}
    slow = [name for name, stops in found.items() if stops.every_iteration]
    if slow and trainer.updater.stride > 1:
        warnings.warn(
            f"{', '.join(slow)}: called after every iteration, which slows training down; use a "
            "trigger such as (100, 'iteration') or (1, 'epoch')",
            stacklevel=2,
        )
    stops = Stops()
    for each in found.values():
        stops |= each
    return stops


def _of_entry(entry: object, done: int) -> Stops:
    """Returns the iterations at which a registered extension may act."""
    extension = entry.extension
    stops = _of_trigger(entry.trigger, done)
    if not stops.every_iteration:
        return stops
    if hasattr(extension, "update_stops"):
        return extension.update_stops()
    known = _KNOWN_EXTENSIONS.get(type(extension).__call__)
    return stops if known is None else known(extension, done)


def _of_trigger(trigger: object, done: int) -> Stops:
    """Returns the iterations at which a trigger may fire, after those already done."""
    if hasattr(trigger, "update_stops"):
        return trigger.update_stops()
    if trigger is chainer.training.get_trigger(None):  # the one that never fires
        return Stops()
    # A class with a __call__ of its own is unknown, whatever it is derived from.
    known = _KNOWN.get(type(trigger).__call__)
    return EVERY_ITERATION if known is None else known(trigger, done)


def _of_interval(trigger: _triggers.IntervalTrigger, done: int) -> Stops:
    periods = frozenset({trigger.period})
    return Stops(epochs=periods) if trigger.unit == "epoch" else Stops(iterations=periods)


def _of_schedule(trigger: _triggers.ManualScheduleTrigger, done: int) -> Stops:
    points = frozenset(trigger.points)
    return Stops(at_epochs=points) if trigger.unit == "epoch" else Stops(at_iterations=points)


def _of_once(trigger: _triggers.OnceTrigger, done: int) -> Stops:
    return Stops() if trigger.finished else Stops(at_iterations=frozenset({done + 1}))


def _of_early_stopping(trigger: _triggers.EarlyStoppingTrigger, done: int) -> Stops:
    inner = trigger._interval_trigger, trigger._max_trigger
    return _of_trigger(inner[0], done) | _of_trigger(inner[1], done)


_KNOWN: dict[object, Callable[[object, int], Stops]] = {
    _triggers.IntervalTrigger.__call__: _of_interval,
    _triggers.ManualScheduleTrigger.__call__: _of_schedule,
    _triggers.OnceTrigger.__call__: _of_once,
    _triggers.EarlyStoppingTrigger.__call__: _of_early_stopping,
    _triggers.BestValueTrigger.__call__: lambda trigger, done: _of_trigger(
        trigger._interval_trigger, done
    ),
    # It depends on the clock.
    _triggers.TimeTrigger.__call__: lambda trigger, done: Stops(),
}


def _of_collector(extension: _extensions.LogReport | _extensions.PlotReport, done: int) -> Stops:
    """Returns the iterations at which means are used, which are updated after every iteration."""
    return _of_trigger(extension._trigger, done)


def _of_table(extension: _extensions.PrintReport, done: int) -> Stops:
    log = extension._log_report  # a string names another extension
    return Stops() if isinstance(log, str) else _of_trigger(log._trigger, done)


_KNOWN_EXTENSIONS: dict[object, Callable[[object, int], Stops]] = {
    _extensions.LogReport.__call__: _of_collector,
    _extensions.PlotReport.__call__: _of_collector,
    _extensions.PrintReport.__call__: _of_table,
    _extensions.ProgressBar.__call__: lambda extension, done: Stops(
        iterations=frozenset({extension._update_interval})
    ),
}
