"""Moving averages of a model's parameters, used for evaluation."""

from collections.abc import Callable

from nncompress.chainer_support.compatibility import chainer


class MovingAverages(chainer.training.Extension):
    """Keeps an exponentially decaying average of each parameter over the steps of training.

    After the optimizer has updated a parameter in step t:
    ``average += (1 - min(decay, (1 + t) / (10 + t))) * (parameter - average)``. The updates of
    compression come after that; if they set an entry, as when a matrix is factored, its average
    starts again, because averaging with its old value would have no meaning.

    Source: TensorFlow's ``ExponentialMovingAverage`` with the global step as ``num_updates``.

    Args:
        model: The compressed model, on its device.
        decay: The share of an average that is kept in each step, in the long run.
        compression: The extension that updates compression.
    """

    default_name = "moving_averages"
    trigger = 1, "iteration"
    priority = chainer.training.PRIORITY_WRITER

    def __init__(
        self,
        model: chainer.Chain,
        decay: float,
        compression: Callable[[chainer.training.Trainer], None],
    ) -> None:
        self._model, self._decay, self._compression = model, decay, compression
        self._averages = {path: each.array.copy() for path, each in model.namedparams()}

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Adds a training step to the averages, and updates compression."""
        step = trainer.updater.iteration
        share = 1.0 - min(self._decay, (1.0 + step) / (10.0 + step))
        before = {}
        for path, parameter in self._model.namedparams():
            average = self._averages[path]
            average += share * (parameter.array - average)
            before[path] = parameter.array.copy()
        self._compression(trainer)
        for path, parameter in self._model.namedparams():
            array, average = parameter.array, self._averages[path]
            average[...] = self._model.xp.where(array != before[path], array, average)

    def copy_to_model(self) -> None:
        """Sets the model's parameters to their averages."""
        for path, parameter in self._model.namedparams():
            parameter.array[...] = self._averages[path]

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the averages."""
        for path, average in self._averages.items():
            self._averages[path] = serializer(path.lstrip("/"), average)


def load_averages(deserializer: chainer.Deserializer, model: chainer.Chain) -> None:
    """Sets a model's parameters to their averages in a snapshot.

    Args:
        deserializer: The deserializer at the extension's place.
        model: Changed in place.

    Raises:
        KeyError, ValueError: The snapshot is of another model.
    """
    for path, parameter in model.namedparams():
        deserializer(path.lstrip("/"), parameter.array)
