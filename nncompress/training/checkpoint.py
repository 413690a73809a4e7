"""Training that goes on where an interrupted job left it."""

from nncompress.chainer_support.compatibility import chainer
from nncompress.formats.work import WorkDirectory
from nncompress.training.triggers import UpdateTrigger

_NAME = "training"


class Checkpoint(chainer.training.Extension):
    """Keeps a trainer in a work directory, every so often and at the end.

    Args:
        work: The directory.
        last_iteration: The iteration that training ends with.
    """

    name = default_name = "checkpoint"
    priority = -100  # after all that changes what is kept
    trigger = UpdateTrigger()

    def __init__(self, work: WorkDirectory, last_iteration: int) -> None:
        self._work = work
        self._last_iteration = last_iteration

    def restore(self, trainer: chainer.training.Trainer) -> None:
        """Brings a trainer to where it was kept, if it was."""
        state = self._work.load(_NAME)
        if state is not None:
            arrays = {name: array.copy() for name, array in state.arrays.items()}
            chainer.serializers.NpzDeserializer(arrays).load(trainer)

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Keeps the trainer, if it is time."""
        if self._work.is_due() or trainer.updater.iteration == self._last_iteration:
            serializer = chainer.serializers.DictionarySerializer()
            serializer.save(trainer)
            self._work.save(_NAME, serializer.target, {})


def forget(work: WorkDirectory) -> None:
    """Removes the trainer from a work directory, where what it led to is kept."""
    work.discard(_NAME)
