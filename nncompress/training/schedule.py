"""The learning rate and temperature of each step, set by the recipe or by other code."""

import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.descent import rate_name
from nncompress.chainer_support.compatibility import chainer
from nncompress.training.settings import TrainingSettings


class ScheduledNumber:
    """An attribute that follows a schedule until other code sets it.

    Args:
        owner: The object that has the attribute.
        attribute: The attribute's name.
        name: Its name in a warning.
        schedule: Returns its value for a step, counted from 0; None: it has no schedule.

    Attributes:
        is_free: Whether the schedule has ended because other code set the attribute.
    """

    def __init__(
        self,
        owner: object,
        attribute: str,
        name: str,
        schedule: Callable[[int], float] | None,
    ) -> None:
        self._owner = owner
        self._attribute = attribute
        self._name = name
        self._schedule = schedule
        self._last = self._value if schedule is not None else None
        self.is_free = schedule is None
        self._restored: float | None = None

    @property
    def _value(self) -> float:
        return getattr(self._owner, self._attribute)

    def look(self) -> None:
        """Notices a value that other code has set, and says so once."""
        if self._restored is not None:
            # By now, extensions have seen the value that training began with.
            if self._value == self._last:
                setattr(self._owner, self._attribute, self._restored)
            self._restored = None
        if self.is_free or self._value == self._last:
            return
        self.is_free = True
        warnings.warn(
            f"the {self._name} was set to {self._value:g}, which ends the recipe's schedule of it",
            stacklevel=2,
        )

    def at(self, steps: Iterable[int]) -> np.ndarray:
        """Returns the values of steps, float64, as they are known now."""
        if self.is_free:
            return np.array([self._value for _ in steps], dtype=np.float64)
        return np.array([self._schedule(step) for step in steps])

    def show(self, step: int) -> None:
        """Sets the attribute to a step's value."""
        if not self.is_free:
            self._last = self._schedule(step)
            setattr(self._owner, self._attribute, self._last)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores whether the schedule has ended, and the value since then."""
        if self._schedule is None:  # nothing to end, and the owner saves its value
            return
        is_saving = isinstance(serializer, chainer.Serializer)
        if is_saving:
            self.look()
        with suppress(KeyError):  # snapshots from before schedules could end
            self.is_free = bool(serializer("is_free", self.is_free))
            value = float(serializer("value", float(self._value)))
            if self.is_free and not is_saving:
                self._restored = value

    @property
    def state(self) -> float | None:
        """The value for all further steps; None while the schedule is followed."""
        return self._value if self.is_free else None


class Schedule:
    """The learning rate and the temperature of each step.

    Args:
        settings: The run's settings, with the recipe's schedules.
        optimizer: The optimizer.
        chain: The autoencoder.
        has_rates: Whether the recipe sets the learning rate.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        optimizer: chainer.GradientMethod,
        chain: CompositionalAutoencoder,
        has_rates: bool,
    ) -> None:
        self._rate = ScheduledNumber(
            optimizer,
            rate_name(optimizer),
            "learning rate",
            settings.learning_rate_at if has_rates else None,
        )
        self._tau = ScheduledNumber(chain, "tau", "temperature tau", settings.tau_at)

    def look(self) -> None:
        """Notices values that other code has set since the last step."""
        self._rate.look()
        self._tau.look()

    def at(self, steps: range) -> tuple[np.ndarray, np.ndarray]:
        """Returns the learning rates and temperatures of steps as known now, float64 each."""
        return self._rate.at(steps), self._tau.at(steps)

    def show(self, step: int) -> None:
        """Sets the optimizer's learning rate and the chain's temperature to those of a step."""
        self._rate.show(step)
        self._tau.show(step)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores which schedules have ended."""
        self._rate.serialize(serializer["rate"])
        self._tau.serialize(serializer["tau"])

    @property
    def state(self) -> tuple[float | None, float | None]:
        """The rate and temperature of all further steps; None for one that follows a schedule."""
        return self._rate.state, self._tau.state
