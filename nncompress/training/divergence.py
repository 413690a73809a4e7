"""Ending training that has diverged."""

import math

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import Diverged
from nncompress.training.settings import RECIPES, TrainingSettings

_VALIDATION_LOSS = "validation/main/loss"
_LOSSES = ("main/loss", "main/weighted_loss", _VALIDATION_LOSS, "validation/main/weighted_loss")


class Divergence(chainer.training.Extension):
    """Ends training when a loss or a parameter is not finite.

    It checks losses after each update, and parameters after each validation, before they are kept
    or saved.

    Args:
        chain: The autoencoder.
        settings: The run's settings, for the advice.
        has_own_rate: Whether a user's optimizer has a learning rate of its own.
    """

    priority = chainer.training.PRIORITY_WRITER - 1  # after validation
    default_name = "divergence"

    def __init__(
        self, chain: CompositionalAutoencoder, settings: TrainingSettings, has_own_rate: bool
    ) -> None:
        self._chain = chain
        self._advice = _advice(settings, has_own_rate)

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Ends training if it has diverged.

        Raises:
            Diverged: Training has diverged.
        """
        iteration, observation = trainer.updater.iteration, trainer.observation
        for name in _LOSSES:
            if name in observation and not math.isfinite(loss := float(observation[name])):
                raise Diverged(
                    f"training has diverged: {name} is {loss} at iteration {iteration:,}",
                    self._advice,
                )
        if _VALIDATION_LOSS not in observation:
            return
        for name, parameter in self._chain.namedparams():
            if not self._chain.xp.isfinite(parameter.array).all():
                raise Diverged(
                    f"training has diverged: {name.lstrip('/')} has numbers that are not finite "
                    f"at iteration {iteration:,}",
                    self._advice,
                )


def _advice(settings: TrainingSettings, has_own_rate: bool) -> str:
    """Returns advice that may keep training from diverging, the most promising first."""
    usual = RECIPES[settings.recipe].learning_rate
    ways = [f"choose a lower learning rate (--lr) than {settings.learning_rate:g}"]
    if has_own_rate:
        ways = ["give the optimizer a lower learning rate"]
    elif settings.learning_rate > usual:
        ways[0] += f", such as the recipe's own {usual:g}"
    if settings.max_grad_norm is None and not has_own_rate:
        ways.append("clip gradients (--max-grad-norm)")
    if not settings.normalize:
        # With the recipe's own rate, the table's numbers must be too large.
        place = 0 if settings.learning_rate <= usual and not has_own_rate else len(ways)
        ways.insert(place, "use the recipe fast, which scales the table")
    return ", or ".join(ways)
