"""The common part of the autoencoder's fused forms: the loss as one function node."""

import operator
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.random.noise import Stream


class MeanOfSteps(NamedTuple):
    """A mean over several steps, which counts as that many steps.

    Chainer's summaries take a tuple as a value and its weight. Everywhere else it acts as a
    number: it converts to ``float``, and is printed and formatted as its value.

    Attributes:
        value: The mean.
        steps: The number of steps that it was taken over.
    """

    value: float
    steps: int

    def __float__(self) -> float:
        return float(self.value)

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.value, dtype=dtype)

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, specification: str) -> str:
        return format(self.value, specification)


def _as_number(name: str) -> tuple[Callable[..., object], Callable[..., object]]:
    """Returns the methods of an operator that take a mean as a number, not as a tuple."""

    def method(self: MeanOfSteps, *others: object) -> object:
        return getattr(operator, name)(float(self), *map(float, others))

    def reflected(self: MeanOfSteps, other: object) -> object:
        return getattr(operator, name)(float(other), float(self))

    return method, reflected


for _name in ("add", "sub", "mul", "truediv", "pow"):
    _method, _reflected = _as_number(_name)
    setattr(MeanOfSteps, f"__{_name}__", _method)
    setattr(MeanOfSteps, f"__r{_name}__", _reflected)
for _name in ("neg", "abs", "lt", "le", "gt", "ge"):
    setattr(MeanOfSteps, f"__{_name}__", _as_number(_name)[0])


class BatchMeans(NamedTuple):
    """Means over one or more batches, for normalized rows.

    Attributes:
        loss: The loss.
        maxp: The largest Gumbel-softmax probability.
        weighted_loss: The loss with each row's part multiplied by its weight, which training
            minimizes.
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
        noise: np.ndarray | tuple[Stream, int],
        weights: np.ndarray | None,
        wanted: bool,
    ) -> tuple[BatchMeans, Sequence[np.ndarray]]:
        """Computes loss, maxp and gradients of a batch.

        Args:
            x: ``(n, D)``.
            noise: The Gumbel noise, ``(n, M, K)``, or the stream and position to draw it from.
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
        """Computes what training minimizes, as ``CompositionalAutoencoder.forward`` does.

        If link hooks wait for calls of ``l1`` and ``l2``, which kernels do not make, or if arrays
        are of a kind that kernels do not take, that method computes it.
        """
        if self.has_hooked_links() or not self.kernels_take(x, noise, weights):
            return super().forward(x, noise, weights)
        node = _Objective(self, x, self.next_noise() if noise is None else noise, weights)
        (objective,) = node.apply(self.kernel_parameters())
        self.report_batch(node.means, weights is not None)
        return objective

    def report_batch(self, means: BatchMeans, weighted: bool, batches: int = 1) -> None:
        """Reports means over batches.

        Args:
            means: The means that the kernels computed.
            weighted: Whether rows have weights.
            batches: The number of batches that the means were taken over.
        """
        square = float(self.scale) ** 2
        observed = {"loss": means.loss * square, "maxp": means.maxp}
        if weighted:
            observed["weighted_loss"] = means.weighted_loss * square
        if batches > 1:
            observed = {name: MeanOfSteps(value, batches) for name, value in observed.items()}
        chainer.report(observed, self)

    def has_hooked_links(self) -> bool:
        """Tells whether a link hook waits for calls of ``l1`` or ``l2``."""
        return bool(chainer._get_link_hooks()) or any(
            link.local_link_hooks for link in (self.l1, self.l2)
        )

    def kernels_take(
        self,
        x: np.ndarray,
        noise: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> bool:
        """Tells whether the kernels can read these arrays and the parameters.

        Args:
            x: The rows; like the other arguments, they may be anything that a user passes.
            noise: The Gumbel noise, or None.
            weights: The rows' weights, or None.
        """
        kind, array = self.codebook.dtype, self.xp.ndarray
        if not isinstance(x, array) or x.dtype != kind or x.shape[1:] != (self.dim,) or not len(x):
            return False
        shape = len(x), self.num_codebooks, self.num_codewords
        if noise is not None and not (
            isinstance(noise, array) and noise.dtype == kind and noise.shape == shape
        ):
            return False
        if weights is not None and not (isinstance(weights, array) and weights.shape == shape[:1]):
            return False
        return self.tau > 0 and self.reason_of_arrays() is None

    def reason_of_arrays(self) -> str | None:
        """Returns the reason why kernels cannot read the parameters' arrays; None if they can."""
        kind = self.centre.dtype
        for name, parameter in self.namedparams():
            if parameter.array is None or parameter.dtype != kind:
                return f"{name} is not of {kind}"
            if not parameter.array.flags.c_contiguous:
                return f"{name} is not contiguous"
        return None

    def kernel_parameters(self) -> tuple[chainer.Parameter, ...]:
        """Returns the parameters in the order that the kernels expect."""
        return self.l1.W, self.l1.b, self.l2.W, self.l2.b, self.codebook


class _Objective(chainer.FunctionNode):
    """The loss of the normalized rows as a function of the parameters; rows are data."""

    def __init__(
        self,
        chain: KernelAutoencoder,
        x: np.ndarray,
        noise: np.ndarray | tuple[Stream, int],
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
        if chainer.config.enable_backprop:
            raise RuntimeError(
                "the gradient of the kernels' loss cannot be differentiated again; use "
                "CompositionalAutoencoder, or turn enable_double_backprop off"
            )
        (factor,) = grad_outputs
        return tuple(
            chainer.functions.broadcast_to(factor, self._gradients[index].shape)
            * self._gradients[index]
            for index in indexes
        )
