"""Triggers that call extensions and end training."""

from nncompress.chainer_support.compatibility import chainer
from nncompress.training.stops import Stops

# What is reported, logged and validated is so after every so many iterations.
REPORT_INTERVAL = 1_000


class StopTrigger:
    """Ends training after a number of iterations.

    Args:
        iterations: That number.
    """

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations

    def __call__(self, trainer: chainer.training.Trainer) -> bool:
        """Tells whether training is over."""
        return trainer.updater.iteration >= self._iterations

    def update_stops(self) -> Stops:
        """Returns where updates must end for it."""
        return Stops(at_iterations=frozenset({self._iterations}))

    def get_training_length(self) -> tuple[int, str]:
        """Returns the length as ``ProgressBar`` wants it."""
        return self._iterations, "iteration"


class ReportTrigger:
    """Fires every so many iterations, at each epoch's end if asked, and at the last iteration.

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
        """Tells whether the trainer's current iteration is such a moment."""
        updater = trainer.updater
        return (
            updater.iteration == self._last_iteration
            or (self._iterations is not None and updater.iteration % self._iterations == 0)
            or (self._epochs and updater.is_new_epoch)
        )

    def update_stops(self) -> Stops:
        """Returns where updates must end for it."""
        return Stops(
            iterations=frozenset({self._iterations} if self._iterations is not None else ()),
            at_iterations=frozenset({self._last_iteration}),
            epochs=frozenset({1} if self._epochs else ()),
        )


class ThrottledTrigger:
    """Fires every so many seconds after it is first asked, and at the last iteration.

    What it times must not influence training: it follows the clock.

    Args:
        last_iteration: The iteration that training ends with.
        seconds: The least time between two firings.
    """

    def __init__(self, last_iteration: int, seconds: float) -> None:
        self._last_iteration = last_iteration
        self._seconds = seconds
        self._fired_at: float | None = None

    def __call__(self, trainer: chainer.training.Trainer) -> bool:
        """Tells whether it is time again."""
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
        """Returns where updates must end for it."""
        return Stops(at_iterations=frozenset({self._last_iteration}))


class UpdateTrigger:
    """Fires after each update, however many iterations that made."""

    def __call__(self, trainer: chainer.training.Trainer) -> bool:
        """Tells that it is time."""
        return True

    def update_stops(self) -> Stops:
        """Returns where updates must end for it: nowhere in particular."""
        return Stops()
