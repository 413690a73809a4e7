"""Validation: loss and maxp over rows and noise that are fixed for the whole run."""

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.codes import reconstruct
from nncompress.evaluate.distortion import distances, warn_if_poor
from nncompress.machine import Machine
from nncompress.random.noise import Stream
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.matrix import spaced_rows
from nncompress.sources.normalization import Statistics
from nncompress.training.processes import ALONE, Processes

VALIDATION_ROWS = 2_000


class Validation(chainer.training.extensions.Evaluator):
    """Reports loss and maxp over fixed rows, with fixed Gumbel noise, at the final temperature.

    The rows are evenly spaced in the matrix. Vocabularies are sorted by frequency, and norms
    depend on frequency, so such rows represent the whole matrix much better than random ones: with
    uneven norms, the loss of 2,000 random rows is off by several percent.

    Args:
        matrix: The embedding matrix; ``min(2000, N)`` of its rows are used.
        chain: The autoencoder, already on its device.
        tau: The temperature.
        machine: The machine that the chain is on.
        weights: The weight of each row in the loss, float64 ``(N,)`` of mean 1, or None.
        processes: The processes that train together. The first one evaluates, so that all use the
            same numbers.
    """

    def __init__(
        self,
        matrix: EmbeddingMatrix,
        chain: CompositionalAutoencoder,
        tau: float,
        machine: Machine,
        weights: np.ndarray | None = None,
        processes: Processes = ALONE,
    ) -> None:
        super().__init__({}, chain)
        self._tau = tau
        self._processes = processes
        rows = spaced_rows(VALIDATION_ROWS, len(matrix), weights)
        self._host_rows = matrix.take(rows)
        self._host_weights = None if weights is None else weights[rows]
        self._rows = machine.device.send(self._host_rows)
        self._weights = None if weights is None else machine.device.send(weights[rows])

    def warn_if_poor(self) -> None:
        """Warns if the mean of these rows is nearer to them than their reconstructions are."""
        chain = self.get_target("main")
        codes = chainer.backends.cuda.to_cpu(chain.encode(self._rows))
        losses, _, _ = distances(self._host_rows, reconstruct(codes, chain.export_codebook()))
        statistics = Statistics(chain.dim)
        statistics.add(self._host_rows, self._host_weights)
        warn_if_poor(np.average(losses, weights=self._host_weights), statistics.mean_row_loss)

    def evaluate(self) -> dict[str, float]:
        """Returns the loss and maxp over the validation rows, as the chain reports them."""
        return self._processes.first(self._measured)

    def _measured(self) -> dict[str, float]:
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
