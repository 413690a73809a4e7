"""Validation: loss and maxp over rows and noise that stay the same for the whole run."""

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.random.noise import Stream
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows

VALIDATION_ROWS = 2_000


class Validation(chainer.training.extensions.Evaluator):
    """Reports loss and maxp over fixed rows, with fixed Gumbel noise, at the final temperature.

    The rows are evenly spaced through the matrix. Vocabularies are sorted by frequency, and norms
    go with frequency, so that such rows stand for all of them much better than random ones: the
    loss of 2,000 random rows of a table with uneven norms is off by several percent.

    Args:
        matrix: The embedding matrix; ``min(2000, N)`` of its rows are used.
        chain: The autoencoder, already on its device.
        tau: The temperature.
        machine: The machine that the chain is on.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        chain: CompositionalAutoencoder,
        tau: float,
        machine: Machine,
        weights: np.ndarray | None = None,
    ) -> None:
        super().__init__({}, chain)
        self._tau = tau
        rows = spaced_rows(VALIDATION_ROWS, len(matrix), weights)
        self._rows = machine.device.send(matrix.take(rows))
        self._weights = None if weights is None else machine.device.send(weights[rows])

    def evaluate(self) -> dict[str, float]:
        """Returns loss and maxp over the validation rows, as the chain reports them."""
        chain = self.get_target("main")
        training_tau, chain.tau = chain.tau, self._tau
        observation: dict[str, float] = {}
        try:
            with (
                chainer.reporter.report_scope(observation),
                chainer.no_backprop_mode(),
                chain.noise_pinned(Stream.VALIDATION_NOISE, 0),
            ):
                chain(self._rows, weights=self._weights)
        finally:
            chain.tau = training_tau
        return {key: float(value) for key, value in observation.items()}
