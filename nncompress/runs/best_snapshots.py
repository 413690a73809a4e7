"""The best few snapshots of the model, kept in a run directory."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.files import atomic_path, atomic_paths, sha256_of
from nncompress.runs.best_file import (
    BEST_FILE,
    KeptSnapshot,
    read_best,
    snapshot_name,
    snapshots_by_name,
    write_best,
)
from nncompress.runs.unwritten import Unwritten
from nncompress.training.best import BestParameters

KEPT_SNAPSHOTS = 3
_WHAT = "the best snapshot"


class BestSnapshots(chainer.training.Extension):
    """Saves the model whenever its validation loss is the best so far, and keeps a few of these.

    Args:
        best: The best parameters so far.
        directory: The run directory.
        save: Writes the model with the best parameters to a path.
        unwritten: Collects the files that cannot be written.
    """

    default_name = "best_snapshots"

    def __init__(
        self,
        best: BestParameters,
        directory: Path,
        save: Callable[[Path], None],
        unwritten: Unwritten,
    ) -> None:
        self._best = best
        self._directory = directory
        self._save = save
        self._unwritten = unwritten
        self._kept: list[KeptSnapshot] = []  # those on the disk, the best first
        self._is_written = True
        best.observers.append(lambda iteration: self._write_best())

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Restores the directory to its state at the iteration from which training continues."""
        self._kept = self._found()
        newest = self._kept[0].iteration if self._kept else -1
        if newest != self._best.iteration:  # it is missing or could not be written
            self._write_best()
            return
        with self._unwritten.trying(_WHAT):
            if self._kept:
                with atomic_path(self._directory / BEST_FILE) as temporary:
                    write_best(temporary, self._kept)
            else:
                (self._directory / BEST_FILE).unlink(missing_ok=True)
            self._remove_others()

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Saves a model that could not be saved when it was measured."""
        if not self._is_written:
            self._write_best()

    def _write_best(self) -> None:
        self._is_written = False
        path = self._directory / snapshot_name(self._best.iteration)
        with self._unwritten.trying(_WHAT):
            with atomic_paths(path, self._directory / BEST_FILE) as (model, note):
                self._save(model)
                newest = KeptSnapshot(self._best.iteration, self._best.loss, sha256_of(model))
                kept = [newest, *self._kept][:KEPT_SNAPSHOTS]
                write_best(note, kept)
            self._kept, self._is_written = kept, True
            self._remove_others()

    def _remove_others(self) -> None:
        kept = {each.iteration for each in self._kept}
        for iteration, path in snapshots_by_name(self._directory).items():
            if iteration not in kept:
                path.unlink(missing_ok=True)

    def _found(self) -> list[KeptSnapshot]:
        """Returns the snapshots that exist and are unchanged."""
        try:
            known = {each.iteration: each.sha256 for each in read_best(self._directory) or ()}
        except InputError as error:
            warnings.warn(f"{error}; it is rewritten", stacklevel=3)
            known = {}
        found = []
        for each in self._kept:
            path = self._directory / snapshot_name(each.iteration)
            if path.is_file():
                digest = sha256_of(path)
                if known.get(each.iteration, digest) == digest:
                    found.append(KeptSnapshot(each.iteration, each.loss, digest))
        return found

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores which snapshots are the best."""
        pairs = [(each.loss, each.iteration) for each in self._kept]
        padded = [*pairs, *[(np.nan, -1)] * KEPT_SNAPSHOTS][:KEPT_SNAPSHOTS]
        padded = serializer("best", np.array(padded, dtype=np.float64))
        if isinstance(serializer, chainer.Serializer):
            return
        self._kept = [
            KeptSnapshot(int(iteration), loss, "") for loss, iteration in padded if iteration >= 0
        ]
        if self._kept and self._best.iteration < 0:  # from before trainer snapshots had them
            self._best.loss, self._best.iteration = self._kept[0].loss, self._kept[0].iteration
