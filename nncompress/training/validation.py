"""Validation: loss and maxp over rows and noise that stay the same for the whole run."""

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.noise import Stream, gumbel_noise
from nncompress.chainer_compat import chainer
from nncompress.sources import EmbeddingMatrix

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
        device: Chainer device of the chain.
        batchsize: Rows a batch.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        chain: CompositionalAutoencoder,
        tau: float,
        device: chainer.backend.Device,
        batchsize: int = 1_000,
    ) -> None:
        super().__init__({}, chain)
        self._tau = tau
        self._validation_device = device
        self._batchsize = batchsize
        count = min(VALIDATION_ROWS, len(matrix))
        self._rows = matrix.take(np.arange(count) * len(matrix) // count)
        self._noise = gumbel_noise(
            chain.seed,
            Stream.VALIDATION_NOISE,
            0,
            (count, chain.num_codebooks, chain.num_codewords),
        )

    def evaluate(self) -> dict[str, float]:
        """Returns the means over the validation rows, as the chain reports them."""
        chain = self.get_target("main")
        send = self._validation_device.send
        totals: dict[str, float] = {}
        training_tau, chain.tau = chain.tau, self._tau
        try:
            for start in range(0, len(self._rows), self._batchsize):
                part = slice(start, start + self._batchsize)
                observation: dict[str, float] = {}
                with chainer.reporter.report_scope(observation), chainer.no_backprop_mode():
                    chain(send(self._rows[part]), send(self._noise[part]))
                weight = len(self._rows[part]) / len(self._rows)
                for key, value in observation.items():
                    totals[key] = totals.get(key, 0.0) + weight * float(value)
        finally:
            chain.tau = training_tau
        return totals
