"""The best parameters of a run, kept in memory."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer


class BestParameters(chainer.training.Extension):
    """Keeps a copy of the parameters whenever the validation loss is the lowest so far.

    If rows have weights, this is the weighted loss. Losses and parameters are always finite here,
    because ``Divergence`` runs first.

    Args:
        chain: The autoencoder.

    Attributes:
        loss: The lowest validation loss so far; infinite before the first.
        iteration: The iteration at which it was measured; -1 before the first.
        observers: Called with each such iteration, while the chain has those parameters.
    """

    priority = chainer.training.PRIORITY_EDITOR
    default_name = "best_parameters"

    def __init__(self, chain: CompositionalAutoencoder) -> None:
        self._chain = chain
        self._arrays: dict[str, np.ndarray] = {}
        self.loss = np.inf
        self.iteration = -1
        self.observers: list[Callable[[int], None]] = []

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Checks the latest validation loss."""
        loss = validation_objective(trainer.observation)
        if not loss < self.loss:
            return
        self.loss, self.iteration = loss, trainer.updater.iteration
        self._arrays = {name: p.array.copy() for name, p in self._chain.namedparams()}
        for observer in self.observers:
            observer(self.iteration)

    def adopt(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes the best parameters from a snapshot of the chain, for a run that continues.

        Args:
            arrays: The parameters by name, ``l1/W`` and so on; others are ignored.
        """
        device = self._chain.device
        self._arrays = {
            name: device.send(arrays[name.lstrip("/")]) for name, _ in self._chain.namedparams()
        }

    def forget(self) -> None:
        """Makes the next parameters the best, whatever their loss is."""
        self.loss, self.iteration, self._arrays = np.inf, -1, {}

    def parameters(self) -> dict[str, np.ndarray]:
        """Returns the best parameters by name, ``l1/W`` and so on, in main memory."""
        numpy = chainer.get_device("@numpy")
        return {name.lstrip("/"): numpy.send(array) for name, array in self._arrays.items()}

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the best parameters, their loss and iteration."""
        with suppress(KeyError):  # older snapshots, which do not have them
            self.loss = float(serializer("loss", self.loss))
            self.iteration = int(serializer("iteration", self.iteration))
            for name, parameter in self._chain.namedparams():
                kept = self._arrays.get(name, parameter.array)
                self._arrays[name] = serializer(name.lstrip("/"), kept.copy())

    def restore(self) -> None:
        """Restores the chain's best parameters, if there are any in memory."""
        for name, parameter in self._chain.namedparams():
            if name in self._arrays:
                parameter.array[...] = self._arrays[name]


def validation_objective(observation: Mapping[str, float]) -> float:
    """Returns the loss that training minimizes, over the validation rows."""
    loss = observation["validation/main/loss"]
    return float(observation.get("validation/main/weighted_loss", loss))
