"""The model's snapshots in a run directory: the best few."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.training.best import BestParameters

_KEPT_SNAPSHOTS = 3


class BestSnapshots(chainer.training.Extension):
    """Saves the model whenever its validation loss is the best so far, and keeps the best few.

    Args:
        best: The best parameters so far.
        directory: The run directory.
        save: Function that writes the model to a path.
    """

    default_name = "best_snapshots"

    def __init__(
        self, best: BestParameters, directory: Path, save: Callable[[Path], None]
    ) -> None:
        self._best = best
        self._directory = directory
        self._save = save
        self._kept: list[tuple[float, int]] = []  # validation loss and iteration, best first
        best.observers.append(self._keep)

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Does nothing: it is told of the best parameters, and is in the trainer's snapshots."""

    def _keep(self, iteration: int) -> None:
        self._save(self._directory / snapshot_name(iteration))
        self._kept.insert(0, (self._best.loss, iteration))
        for _, dropped in self._kept[_KEPT_SNAPSHOTS:]:
            (self._directory / snapshot_name(dropped)).unlink(missing_ok=True)
        del self._kept[_KEPT_SNAPSHOTS:]

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores which snapshots are the best."""
        padded = [*self._kept, *[(np.nan, -1)] * _KEPT_SNAPSHOTS][:_KEPT_SNAPSHOTS]
        padded = serializer("best", np.array(padded, dtype=np.float64))
        self._kept = [(loss, int(iteration)) for loss, iteration in padded if iteration >= 0]
        if self._kept:
            self._best.loss, self._best.iteration = self._kept[0]


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
