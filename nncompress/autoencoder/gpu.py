"""The autoencoder over CUDA kernels of the project's own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from nncompress.autoencoder.adam import BETA1, BETA2, EPS, corrected_rates
from nncompress.autoencoder.kernel_chain import BatchMeans, KernelAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.parameters import FlatArrays
from nncompress.gpu.runtime import Runtime
from nncompress.gpu.step import GpuDescent, NetworkPass, RowTable, Sizes
from nncompress.random.noise import Stream
from nncompress.sources.normalization import Normalization

# Steps of the longest recorded sequence, and steps that are planned ahead.
_BURST = 10
_PLANNED = 10_000


class GpuAutoencoder(KernelAutoencoder):
    """A ``KernelAutoencoder`` for a GPU.

    Args:
        arguments: As for ``CompositionalAutoencoder``.
        runtime: The GPU that the chain is on.
        full_precision: Whether products have all of float32's digits; else those of TF32, of
            which the tensor cores make more.
        options: As for ``CompositionalAutoencoder``.
    """

    def __init__(
        self, *arguments: int, runtime: Runtime, full_precision: bool = False, **options: object
    ) -> None:
        super().__init__(*arguments, **options)
        self.runtime = runtime
        num_hidden, dim = self.l1.W.shape
        self._sizes = Sizes(dim, num_hidden, self.num_codebooks, self.num_codewords)
        self._kernels = runtime.load(
            "step", VECTOR=self._sizes.vector, FULL_PRECISION=int(full_precision)
        )
        self._flat: FlatArrays | None = None
        self._examiner: _Examiner | None = None

    def differentiate(
        self,
        x: np.ndarray,
        noise: np.ndarray | None,
        weights: np.ndarray | None,
        wanted: bool,
    ) -> tuple[BatchMeans, list[np.ndarray]]:
        """Computes loss and maxp of a batch, and gradients."""
        xp = self.runtime.xp
        kind = len(x), noise is not None, weights is not None, wanted, self.noise_stream
        parameters = self.flat_parameters()
        examiner = self._examiner
        if examiner is None or examiner.kind != kind or examiner.parameters is not parameters:
            examiner = self._examiner = self._make_examiner(kind, parameters)
        examiner.rows[...] = self.normalized(x)
        if noise is not None:
            examiner.noise[...] = xp.asarray(noise).reshape(len(x), -1)
        if weights is not None:
            examiner.weights[...] = xp.asarray(weights)
        single = examiner.single
        single.plan(self.noise_position, [0.0], [self.tau])
        single.launch()
        means = BatchMeans(*single.observed().tolist())
        if not wanted:
            return means, []
        gradients = single.gradients.sum(axis=0)
        return means, parameters.views_of(gradients, self._sizes.shapes)

    def normalized(self, x: np.ndarray) -> np.ndarray:
        """Returns rows of the matrix as the encoder takes them.

        Args:
            x: float32 ``(n, D)``.
        """
        # The scale is not brought to the host, which would wait for all that was launched before.
        return (x - self.centre) / self.scale.astype(x.dtype)

    def normalization(self) -> Normalization:
        """Returns centre and scale, on the host."""
        return Normalization(chainer.backends.cuda.to_cpu(self.centre), float(self.scale))

    def flat_parameters(self) -> FlatArrays:
        """Returns the parameters as parts of one array, which they become."""
        parameters = self.kernel_parameters()
        if self._flat is None or any(
            parameter.array is not view
            for parameter, view in zip(parameters, self._flat.views, strict=True)
        ):
            self._flat = _gathered(self.runtime.xp, [parameter.array for parameter in parameters])
            for parameter, view in zip(parameters, self._flat.views, strict=True):
                parameter.array = view
        return self._flat

    def trainer_for(
        self,
        optimizer: chainer.GradientMethod,
        max_grad_norm: float | None,
        table: RowTable,
        batch_size: int,
        schedule: Callable[[int], tuple[float, float]],
    ) -> "StepMaker":
        """Returns what makes optimizer steps.

        Args:
            optimizer: Chainer's Adam or SGD, set up on this chain. Adam's moments become parts of
                one array each.
            max_grad_norm: Global norm that gradients are clipped to, or None.
            table: Where rows come from.
            batch_size: Rows a step.
            schedule: Returns learning rate and temperature of a step.
        """
        adam = isinstance(optimizer, chainer.optimizers.Adam)
        descent = GpuDescent(
            _moments_of(self) if adam else None, (1 - BETA1, 1 - BETA2, EPS), max_grad_norm
        )
        steps = NetworkPass(
            self.runtime, self._kernels, self._sizes, self.flat_parameters(), batch_size, table,
            seed=self.seed, stream=Stream.TRAINING_NOISE, capacity=_PLANNED,
        )  # fmt: skip
        steps.add_descent(descent)
        return StepMaker(self.runtime, steps, schedule, adam)

    def _make_examiner(
        self, kind: tuple[int, bool, bool, bool, Stream], parameters: FlatArrays
    ) -> "_Examiner":
        xp = self.runtime.xp
        num_rows, has_noise, has_weights, wanted, stream = kind
        rows = xp.empty((num_rows, self._sizes.dim), dtype=xp.float32)
        shape = num_rows, self._sizes.num_units
        noise = xp.empty(shape, dtype=xp.float32) if has_noise else None
        weights = xp.empty(num_rows, dtype=xp.float32) if has_weights else None
        single = NetworkPass(
            self.runtime, self._kernels, self._sizes, parameters, num_rows,
            RowTable(rows, weights, batches=1),
            seed=self.seed, stream=stream, given=noise, backward=wanted,
        )  # fmt: skip
        return _Examiner(kind, parameters, rows, noise, weights, single)


class StepMaker:
    """Makes optimizer steps, recorded once and replayed.

    Args:
        runtime: The GPU.
        steps: A pass that ends with the optimizer's step.
        schedule: Returns learning rate and temperature of a step.
        adam: Whether rates get Adam's bias corrections.
    """

    def __init__(
        self,
        runtime: Runtime,
        steps: NetworkPass,
        schedule: Callable[[int], tuple[float, float]],
        adam: bool,
    ) -> None:
        self._runtime = runtime
        self._pass = steps
        self._schedule = schedule
        self._adam = adam
        self._planned = range(0)
        self._next: int | None = None
        self._one: Callable[[], None] | None = None
        self._burst: Callable[[], None] | None = None
        self.means = steps.means

    def make(self, first: int, count: int) -> None:
        """Makes steps; what they compute need not be there when this returns.

        Args:
            first: Number of the first, from 0.
            count: How many.
        """
        while count:
            if first != self._next or first not in self._planned:
                self._plan(first)
            now = min(count, self._planned.stop - first)
            self._replay(now)
            first = self._next = first + now
            count -= now

    def _plan(self, first: int) -> None:
        numbers = [self._schedule(step) for step in range(first, first + _PLANNED)]
        rates, taus = np.array(numbers).T
        self._pass.plan(first, corrected_rates(rates, first) if self._adam else rates, taus)
        self._planned = range(first, first + _PLANNED)

    def _replay(self, count: int) -> None:
        if self._one is None:
            self._pass.launch()  # compiles the kernels, which recording must not
            count -= 1
            self._one = self._runtime.record(self._pass.launch)
            self._burst = self._runtime.record(partial(_launch_times, self._pass, _BURST))
        for _ in range(count // _BURST):
            self._burst()
        for _ in range(count % _BURST):
            self._one()


def _launch_times(steps: NetworkPass, count: int) -> None:
    for _ in range(count):
        steps.launch()


@dataclass(frozen=True)
class _Examiner:
    """A pass without an optimizer's step, for batches of one kind."""

    kind: tuple[int, bool, bool, bool, Stream]
    parameters: FlatArrays
    rows: np.ndarray
    noise: np.ndarray | None
    weights: np.ndarray | None
    single: NetworkPass


def _gathered(xp, arrays: list[np.ndarray]) -> FlatArrays:
    flat = FlatArrays(xp, [array.shape for array in arrays])
    for view, array in zip(flat.views, arrays, strict=True):
        view[...] = array
    return flat


def _moments_of(chain: GpuAutoencoder) -> tuple[FlatArrays, FlatArrays]:
    """Takes Adam's moments from the optimizer's states, and makes them views of one array each."""
    states = []
    for parameter in chain.kernel_parameters():
        if parameter.update_rule.state is None:
            parameter.update_rule._init_states(parameter)
        states.append(parameter.update_rule.state)
    moments = {}
    for key in ("m", "v"):
        moments[key] = _gathered(chain.runtime.xp, [state[key] for state in states])
        for state, view in zip(states, moments[key].views, strict=True):
            state[key] = view
    return moments["m"], moments["v"]
