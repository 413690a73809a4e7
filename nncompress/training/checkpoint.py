"""Continuing training where an interrupted job left off."""

from nncompress.chainer_support.compatibility import chainer
from nncompress.formats.work import WorkDirectory
from nncompress.training.kept import TRAINER
from nncompress.training.triggers import UpdateTrigger


class Checkpoint(chainer.training.Extension):
    """Saves a trainer in a work directory, at intervals and at the end.

    Args:
        work: The directory.
        last_iteration: The iteration that training ends with.
    """

    name = default_name = "checkpoint"
    priority = -100  # after everything that changes the trainer's state
    trigger = UpdateTrigger()

    def __init__(self, work: WorkDirectory, last_iteration: int) -> None:
        self._work = work
        self._last_iteration = last_iteration

    def restore(self, trainer: chainer.training.Trainer) -> None:
        """Restores a trainer's saved state, if there is one."""
        state = self._work.load(TRAINER)
        if state is not None:
            arrays = {name: array.copy() for name, array in state.arrays.items()}
            chainer.serializers.NpzDeserializer(arrays).load(trainer)

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Saves the trainer, if a save is due."""
        if self._work.is_due() or trainer.updater.iteration == self._last_iteration:
            serializer = chainer.serializers.DictionarySerializer()
            serializer.save(trainer)
            self._work.save(TRAINER, serializer.target, {})
