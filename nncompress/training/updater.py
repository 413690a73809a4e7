"""One optimizer step: gather rows, set learning rate and temperature, descend."""

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_compat import chainer
from nncompress.sources import EmbeddingMatrix
from nncompress.training.row_iterator import RowIterator
from nncompress.training.settings import TrainingSettings


class AutoencoderUpdater(chainer.training.updaters.StandardUpdater):
    """Updates the autoencoder under the schedules of its settings.

    Everything a step depends on follows from the settings and the iteration's number, so that a
    resumed run repeats an uninterrupted one bit for bit.

    Args:
        matrix: The embedding matrix.
        chain: The autoencoder, already on its device.
        settings: The run's settings.
        device: Chainer device of the chain.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        chain: CompositionalAutoencoder,
        settings: TrainingSettings,
        device: chainer.backend.Device,
    ) -> None:
        iterator = RowIterator(len(matrix), settings.batchsize, settings.seed)
        # The device is not handed on: the chain is where it should be already.
        super().__init__(iterator, _optimizer(chain, settings))
        self._matrix = matrix
        self._settings = settings
        self._device = device

    def update_core(self) -> None:
        """Makes one step on the next batch."""
        optimizer = self.get_optimizer("main")
        chain = optimizer.target
        rows = self._matrix.take(self.get_iterator("main").next())
        # Chainer's Adam calls its learning rate alpha, after the paper.
        name = "alpha" if self._settings.optimizer == "Adam" else "lr"
        setattr(optimizer, name, self._settings.learning_rate_at(self.iteration))
        chain.tau = self._settings.tau_at(self.iteration)
        chain.noise_position = self.iteration
        loss = chain(self._device.send(rows))
        chain.cleargrads()
        loss.backward()
        optimizer.update()


def _optimizer(
    chain: CompositionalAutoencoder, settings: TrainingSettings
) -> chainer.GradientMethod:
    optimizer = getattr(chainer.optimizers, settings.optimizer)(settings.learning_rate)
    optimizer.setup(chain)
    if settings.max_grad_norm is not None:
        optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(settings.max_grad_norm))
    return optimizer
