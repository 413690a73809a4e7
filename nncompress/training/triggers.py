"""Triggers that call extensions and end training."""

from nncompress.chainer_support.compatibility import chainer
from nncompress.training.stops import Stops

# The number of iterations between reports, log entries and validations.
REPORT_INTERVAL = 1_000


class StopTrigger:
    """Ends training after a number of iterations.

    Args:
        iterations: The number of iterations.
    """

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations

    def __call__(self, trainer: chainer.training.Trainer) -> bool:
        """Tells whether training is over."""
        return trainer.updater.iteration >= self._iterations

    def update_stops(self) -> Stops:
        """Returns the iterations at which updates must end for this trigger."""
        return Stops(at_iterations=frozenset({self._iterations}))

    def get_training_length(self) -> tuple[int, str]:
        """Returns the length of training in the form that ``ProgressBar`` expects."""
        return self._iterations, "iteration"


class ReportTrigger:
    """Fires at intervals of iterations, at the end of epochs if set, and at the last iteration.

    Args:
        last_iteration: The iteration that training ends with.
        iterations: Period in iterations, or None.
        epochs: Whether the end of each epoch counts.
    """

    def __init__(
        self, last_iteration: int, *, iterations: int | None = None, epochs: bool = False
    ) -> None:
        self._last_iteration = last_iteration
        self._iterations = iterations
        self._epochs = epochs

    def __call__(self, trainer: chainer.training.Trainer) -> bool:
        """Tells whether the trigger fires at the trainer's current iteration."""
        updater = trainer.updater
        return (
            updater.iteration == self._last_iteration
            or (self._iterations is not None and updater.iteration % self._iterations == 0)
            or (self._epochs and updater.is_new_epoch)
        )

    def update_stops(self) -> Stops:
        """Returns the iterations at which updates must end for this trigger."""
        return Stops(
            iterations=frozenset({self._iterations} if self._iterations is not None else ()),
            at_iterations=frozenset({self._last_iteration}),
            epochs=frozenset({1} if self._epochs else ()),
        )


class ThrottledTrigger:
    """Fires at intervals of seconds from the first call on, and at the last iteration.

    Its extensions must not influence training, because it depends on the clock.

    Args:
        last_iteration: The iteration that training ends with.
        seconds: The least time between two firings.
    """

    def __init__(self, last_iteration: int, seconds: float) -> None:
        self._last_iteration = last_iteration
        self._seconds = seconds
        self._fired_at: float | None = None

    def __call__(self, trainer: chainer.training.Trainer) -> bool:
        """Tells whether the trigger fires now."""
        now = trainer.elapsed_time
        if self._fired_at is None:
            self._fired_at = now
        if (
            trainer.updater.iteration != self._last_iteration
            and now < self._fired_at + self._seconds
        ):
            return False
        self._fired_at = now
        return True

    def update_stops(self) -> Stops:
        """Returns the iterations at which updates must end for this trigger."""
        return Stops(at_iterations=frozenset({self._last_iteration}))


class UpdateTrigger:
    """Fires after each update, however many iterations the update made."""

    def __call__(self, trainer: chainer.training.Trainer) -> bool:
        """Tells that the trigger fires, which it always does."""
        return True

    def update_stops(self) -> Stops:
        """Returns no iterations, as this trigger needs no update to end early."""
        return Stops()
