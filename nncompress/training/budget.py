"""A time budget, divided among training, encoding and refinement."""

import time
from dataclasses import replace

from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.refinement.refine import RefinementSettings
from nncompress.sources import EmbeddingMatrix
from nncompress.training.rate import seconds_a_step
from nncompress.training.settings import TrainingSettings

# Training gets a quarter if refinement follows, which gains more per second.
_TRAINING_SHARE = 0.25
# Encoding a row takes less than this share of the time for a row of a training step.
_ENCODING_SHARE = 0.5
_LEAST_SECONDS = 1e-3


class Budget:
    """A time budget, which starts when the object is created.

    Args:
        seconds: The budget; None: there is no limit.
        recipe: The recipe of training.

    Raises:
        InputError: There is a limit, but the recipe reproduces earlier work of a fixed length.
    """

    def __init__(self, seconds: float | None, recipe: str) -> None:
        if seconds is not None and recipe != "fast":
            raise InputError(
                f"a time budget shortens training, but the recipe {recipe} has a fixed length; "
                "leave the budget out, or set the number of epochs (-e)"
            )
        self._seconds, self._started = seconds, time.monotonic()

    def shortened(
        self, settings: TrainingSettings, matrix: EmbeddingMatrix, machine: Machine, refined: bool
    ) -> TrainingSettings:
        """Returns settings with which training and encoding take no more than their share.

        Args:
            settings: The settings without a limit.
            matrix: The rows.
            machine: The machine to train on.
            refined: Whether refinement follows.
        """
        if self._seconds is None:
            return settings
        step = seconds_a_step(matrix, settings, machine)
        seconds = self._left * (_TRAINING_SHARE if refined else 1.0)
        seconds -= _ENCODING_SHARE * step * len(matrix) / settings.batch_size
        return replace(settings, iterations=max(1, min(settings.iterations, int(seconds / step))))

    def rest(self, refinement: RefinementSettings) -> RefinementSettings:
        """Returns settings with which refinement takes the remaining time."""
        if self._seconds is None:
            return refinement
        return replace(refinement, seconds=max(self._left, _LEAST_SECONDS))

    @property
    def _left(self) -> float:
        return self._seconds - (time.monotonic() - self._started)
