"""Keeping the snapshots with the best validation loss."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from nncompress.chainer_compat import chainer

_KEPT_SNAPSHOTS = 3


class BestSnapshots(chainer.training.Extension):
    """Saves the model whenever its validation loss is the best so far, and keeps the best few.

    Where rows have weights, the weighted loss is meant.

    Args:
        save: Called with a file name in the trainer's output directory; writes the model there.
    """

    priority = chainer.training.PRIORITY_EDITOR
    default_name = "best_snapshots"

    def __init__(self, save: Callable[[Path], None]) -> None:
        self._save = save
        self._best: list[tuple[float, int]] = []  # validation loss and iteration, best first

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Looks at the validation loss just observed."""
        loss = validation_objective(trainer.observation)
        # A first snapshot is taken whatever the loss is, so that a run ends with one.
        if self._best and not loss < self._best[0][0]:
            return
        iteration = trainer.updater.iteration
        out = Path(trainer.out)
        self._save(out / snapshot_name(iteration))
        self._best.insert(0, (loss, iteration))
        for _, dropped in self._best[_KEPT_SNAPSHOTS:]:
            (out / snapshot_name(dropped)).unlink(missing_ok=True)
        del self._best[_KEPT_SNAPSHOTS:]

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores which snapshots are the best."""
        padded = [*self._best, *[(np.nan, -1)] * _KEPT_SNAPSHOTS][:_KEPT_SNAPSHOTS]
        padded = serializer("best", np.array(padded, dtype=np.float64))
        self._best = [(loss, int(iteration)) for loss, iteration in padded if iteration >= 0]


def validation_objective(observation: Mapping[str, float]) -> float:
    """Returns what training minimizes, over the validation rows."""
    loss = observation["validation/main/loss"]
    return float(observation.get("validation/main/weighted_loss", loss))


def snapshot_name(iteration: int | str) -> str:
    """Returns the file name of the model's snapshot at an iteration."""
    return f"iter_{iteration}.npz"


def best_snapshot(directory: str | os.PathLike) -> Path | None:
    """Returns the best snapshot of a run directory: the latest, as only better ones are saved."""
    found = [
        (int(digits), path)
        for path in Path(directory).glob(snapshot_name("*"))
        if (digits := path.stem.removeprefix("iter_")).isdecimal()
    ]
    return max(found)[1] if found else None
