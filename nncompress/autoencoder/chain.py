"""The autoencoder as a Chain of plain Chainer functions: the readable reference.

Source: Shu and Nakayama, "Compressing Word Embeddings via Deep Compositional Code Learning", ICLR
2018, section 4 (the network, equations 4 to 8); Jang et al., "Categorical Reparameterization with
Gumbel-Softmax", ICLR 2017 (the relaxation).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

from nncompress.autoencoder.size import hidden_units
from nncompress.chainer_support.compatibility import chainer
from nncompress.random.noise import Stream, generator, gumbel_noise
from nncompress.sources.normalization import Normalization

F = chainer.functions
L = chainer.links

NOISE_CALLS = "noise_calls"  # the key of the counts in a snapshot of the chain
_LOG_EPS = 1e-8


class CompositionalAutoencoder(chainer.Chain):
    """Encodes rows as M choices among K codewords each, and adds up the chosen codewords.

    ``x -> tanh(l1) -> l2 -> log(softplus(.) + 1e-8) -> Gumbel-softmax over each of M groups of K
    -> sum of codewords``. The links ``l1`` and ``l2`` and the parameter ``codebook``, of shape
    ``(M*K, D)``, are trained; ``centre`` and ``scale`` are persistent, so that a snapshot has the
    keys ``l1/W l1/b l2/W l2/b codebook centre scale``, and ``noise_calls``.

    Each call draws its own noise, by the seed. The calls that drew noise are counted, and the
    counts are saved with the chain: one for training, and one for evaluation
    (``chainer.config.train`` is false), so that evaluating changes nothing in training.

    Args:
        dim: D, the number of columns of the embedding matrix.
        num_codebooks: M, the number of groups.
        num_codewords: K, the number of codewords in a group.
        normalization: The map applied to rows before the encoder; None: no normalization.
        init: ``"uniform"`` draws all weights and biases from uniform(-0.01, 0.01), as the paper's
            Chainer port does; ``"uniform weights"`` sets the biases to 0, as the authors'
            TensorFlow code does. ``"scaled"`` draws the links' weights from normal distributions
            with the variance of LeCun et al. 1998 (section 4.6), draws the codebook so that a
            reconstruction has unit variance, and sets the biases to 0; it suits normalized rows.
        seed: Seed of the initial weights and of the noise.
        tau: Initial temperature of the Gumbel-softmax.
        dtype: float32, or float64 for checking gradients.

    Attributes:
        tau: Temperature of the Gumbel-softmax, positive.
        pinned_noise: Stream and position of the noise that every call uses; None for fresh noise.

    Examples:
        >>> rows = np.random.default_rng(0).normal(size=(100, 12)).astype(np.float32)
        >>> chain = CompositionalAutoencoder(12, 8, 16, init="scaled")
        >>> loss = chain(rows)
        >>> chain.encode(rows).shape, chain.export_codebook().shape
        ((100, 8), (128, 12))
    """

    def __init__(
        self,
        dim: int,
        num_codebooks: int,
        num_codewords: int,
        *,
        normalization: Normalization | None = None,
        init: str = "uniform",
        seed: int = 0,
        tau: float = 1.0,
        dtype: type = np.float32,
    ) -> None:
        super().__init__()
        self.num_codebooks = num_codebooks
        self.num_codewords = num_codewords
        self.seed = seed
        self.tau = tau
        self.pinned_noise: tuple[Stream, int] | None = None
        self._noise_calls = np.zeros(2, dtype=np.int64)  # in training and in evaluation
        num_units = num_codebooks * num_codewords
        num_hidden = hidden_units(num_codebooks, num_codewords)
        draw = _initial_weights(init, generator(seed, Stream.INITIAL_WEIGHTS), dtype)
        # Chainer gives a bias the configured type, whatever array it starts from.
        with self.init_scope(), chainer.using_config("dtype", np.dtype(dtype)):
            self.l1 = L.Linear(
                dim,
                num_hidden,
                initialW=draw((num_hidden, dim), dim),
                initial_bias=draw(num_hidden),
            )
            self.l2 = L.Linear(
                num_hidden,
                num_units,
                initialW=draw((num_units, num_hidden), num_hidden),
                initial_bias=draw(num_units),
            )
            self.codebook = chainer.Parameter(draw((num_units, dim), num_codebooks))
        normalization = normalization or Normalization.identity(dim)
        self.add_persistent("centre", normalization.centre.astype(dtype))
        self.add_persistent("scale", np.asarray(normalization.scale, dtype=np.float64))

    @property
    def dim(self) -> int:
        """D, the number of columns of the embedding matrix."""
        return self.codebook.shape[1]

    def logits(self, rows: np.ndarray) -> chainer.Variable:
        """Encodes normalized rows.

        Args:
            rows: ``(n, D)`` array, normalized.

        Returns:
            The unnormalized log-probabilities of the codewords, ``(n, M, K)``.
        """
        hidden = F.tanh(self.l1(rows))
        logits = F.log(F.softplus(self.l2(hidden)) + _LOG_EPS)
        return F.reshape(logits, (len(rows), self.num_codebooks, self.num_codewords))

    def forward(
        self,
        x: np.ndarray,
        noise: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> chainer.Variable:
        """Computes what training minimizes, and reports ``loss`` and ``maxp``.

        Args:
            x: Rows of the embedding matrix, ``(n, D)``.
            noise: Draws from Gumbel(0, 1), ``(n, M, K)``; by default drawn by the chain's seed,
                anew for each call unless ``pinned_noise`` is set.
            weights: Weights of the rows, ``(n,)``; if given, ``weighted_loss`` is reported too.

        Returns:
            The mean over the rows of ``0.5 * ||z - reconstruction of z||^2`` for the normalized
            rows z, each times its weight: the reported ``loss`` (or ``weighted_loss``), which is
            in the units of x, divided by ``scale ** 2``.
        """
        xp = self.xp
        if noise is None:
            shape = (len(x), self.num_codebooks, self.num_codewords)
            noise = xp.asarray(gumbel_noise(self.seed, *self.next_noise(), shape, x.dtype))
        scale = float(self.scale)
        rows = (x - self.centre) / x.dtype.type(scale)
        probabilities = F.softmax((self.logits(rows) + noise) / self.tau, axis=2)
        reconstruction = F.matmul(F.reshape(probabilities, (len(x), -1)), self.codebook)
        losses = 0.5 * F.sum(F.square(reconstruction - rows), axis=1)
        objective = F.average(losses)
        observed = {
            # In float64, as the square of 1.8e19 overflows float32.
            "loss": objective.array.astype(np.float64) * scale**2,
            "maxp": probabilities.array.max(axis=2).mean(),
        }
        if weights is not None:
            objective = F.average(losses * xp.asarray(weights, dtype=x.dtype))
            observed["weighted_loss"] = objective.array.astype(np.float64) * scale**2
        chainer.report(observed, self)
        return objective

    def next_noise(self) -> tuple[Stream, int]:
        """Returns the stream and position of a call's noise, and counts the call unless pinned."""
        if self.pinned_noise is not None:
            return self.pinned_noise
        mode = 0 if chainer.config.train else 1
        position = int(self._noise_calls[mode])
        # A new array: copies of a chain share their attributes.
        self._noise_calls = self._noise_calls + np.eye(2, dtype=np.int64)[mode]
        return (Stream.CALL_NOISE, Stream.EVALUATION_NOISE)[mode], position

    @contextmanager
    def noise_pinned(self, stream: Stream, position: int) -> Iterator[None]:
        """Pins the noise of all calls within the context.

        Args:
            stream: Purpose of the noise.
            position: Number of the draw, for instance the iteration.
        """
        before, self.pinned_noise = self.pinned_noise, (stream, position)
        try:
            yield
        finally:
            self.pinned_noise = before

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the chain, with the counts of calls that drew noise."""
        super().serialize(serializer)
        with suppress(KeyError):  # a model's file has no counts, nor had older snapshots
            self._noise_calls = serializer(NOISE_CALLS, self._noise_calls.copy())

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Chooses the most probable codeword of each group, without noise.

        The last step of the encoder, ``log(softplus(.) + 1e-8)``, increases monotonically, so its
        largest input gives the largest logit.

        Args:
            x: Rows of the embedding matrix, ``(n, D)``.

        Returns:
            Integers in ``0 ... K-1``, ``(n, M)``.
        """
        with chainer.no_backprop_mode(), chainer.using_config("train", False):
            rows = (x - self.centre) / x.dtype.type(float(self.scale))
            outputs = self.l2(F.tanh(self.l1(rows))).array
        return outputs.reshape(len(x), self.num_codebooks, self.num_codewords).argmax(axis=2)

    def export_codebook(self) -> np.ndarray:
        """Returns the codebook in the units of the embedding matrix, float32 ``(M*K, D)``.

        Every codeword is multiplied by the scale, and each group holds an equal part of the
        centre, so that a plain sum of codewords reconstructs a row.
        """
        to_cpu = chainer.backends.cuda.to_cpu
        codebook = to_cpu(self.codebook.array).astype(np.float64) * float(self.scale)
        codebook += to_cpu(self.centre).astype(np.float64) / self.num_codebooks
        return codebook.astype(np.float32)


def _initial_weights(init, random, dtype):
    def uniform(shape, fan_in=None):
        return random.uniform(-0.01, 0.01, shape).astype(dtype)

    def scaled(shape, fan_in=None):
        if fan_in is None:
            return np.zeros(shape, dtype)
        return (random.standard_normal(shape) / np.sqrt(fan_in)).astype(dtype)

    def uniform_weights(shape, fan_in=None):
        return np.zeros(shape, dtype) if fan_in is None else uniform(shape)

    return {"uniform": uniform, "uniform weights": uniform_weights, "scaled": scaled}[init]
