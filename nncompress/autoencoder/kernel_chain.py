"""What the autoencoder's fused forms have in common: the loss as one function node."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.mean_of_steps import MeanOfSteps
from nncompress.chainer_support.compatibility import chainer


class BatchMeans(NamedTuple):
    """Means over a batch or several, for normalized rows.

    Attributes:
        loss: The loss.
        maxp: The largest Gumbel-softmax probability.
        weighted_loss: The loss, each row's part times its weight: what training minimizes.
    """

    loss: float
    maxp: float
    weighted_loss: float


class KernelAutoencoder(CompositionalAutoencoder):
    """A ``CompositionalAutoencoder`` whose loss is one function node over compiled kernels."""

    @abstractmethod
    def differentiate(
        self,
        x: np.ndarray,
        noise: np.ndarray | None,
        weights: np.ndarray | None,
        wanted: bool,
    ) -> tuple[BatchMeans, Sequence[np.ndarray]]:
        """Computes loss and maxp of a batch, and gradients.

        Args:
            x: ``(n, D)``.
            noise: The Gumbel noise, ``(n, M, K)``; None for that of ``noise_position``.
            weights: The rows' weights, ``(n,)``; None: all 1.
            wanted: Whether to compute gradients.

        Returns:
            The means over the batch, and the gradients by ``kernel_parameters`` if wanted.
        """

    def forward(
        self,
        x: np.ndarray,
        noise: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> chainer.Variable:
        """Computes what training minimizes, as ``CompositionalAutoencoder.forward`` does."""
        node = _Objective(self, x, noise, weights)
        (objective,) = node.apply(self.kernel_parameters())
        self.report_batch(node.means, weights is not None)
        return objective

    def report_batch(self, means: BatchMeans, weighted: bool, batches: int = 1) -> None:
        """Reports means over batches.

        Args:
            means: The means that the kernels computed.
            weighted: Whether rows have weights.
            batches: The number of batches that the means are of.
        """
        square = float(self.scale) ** 2
        observed = {"loss": means.loss * square, "maxp": means.maxp}
        if weighted:
            observed["weighted_loss"] = means.weighted_loss * square
        if batches > 1:
            observed = {name: MeanOfSteps(value, batches) for name, value in observed.items()}
        chainer.report(observed, self)

    def kernel_parameters(self) -> tuple[chainer.Parameter, ...]:
        """Returns the parameters in the order that the kernels know."""
        return self.l1.W, self.l1.b, self.l2.W, self.l2.b, self.codebook


class _Objective(chainer.FunctionNode):
    """The loss of the normalized rows as a function of the parameters; rows are data."""

    def __init__(
        self,
        chain: KernelAutoencoder,
        x: np.ndarray,
        noise: np.ndarray | None,
        weights: np.ndarray | None,
    ) -> None:
        super().__init__()
        self._chain = chain
        self._x = x
        self._noise = noise
        self._row_weights = weights

    def forward(self, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray]:
        self.means, self._gradients = self._chain.differentiate(
            self._x, self._noise, self._row_weights, wanted=chainer.config.enable_backprop
        )
        return (self._chain.xp.asarray(self.means.weighted_loss, dtype=inputs[0].dtype),)

    def backward(
        self, indexes: tuple[int, ...], grad_outputs: tuple[chainer.Variable]
    ) -> tuple[chainer.Variable, ...]:
        (factor,) = grad_outputs
        return tuple(
            chainer.functions.broadcast_to(factor, self._gradients[index].shape)
            * self._gradients[index]
            for index in indexes
        )
