"""The autoencoder computed by the project's own CUDA kernels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from nncompress.autoencoder.descent import Descent, adam_moments
from nncompress.autoencoder.kernel_chain import BatchMeans, KernelAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.parameters import FlatArrays
from nncompress.gpu.runtime import Runtime
from nncompress.gpu.step import GpuDescent, NetworkPass, RowSource, Sizes
from nncompress.random.noise import Stream
from nncompress.sources.normalization import Normalization

# Steps in the longest recorded sequence, and steps to plan ahead.
_BURST = 10
_PLANNED = 10_000

Numbers = Callable[[range], tuple[np.ndarray, np.ndarray]]


class GpuAutoencoder(KernelAutoencoder):
    """A ``KernelAutoencoder`` for a GPU.

    Args:
        arguments: D, M and K, as for ``CompositionalAutoencoder``.
        runtime: The GPU that the chain is on.
        full_precision: Whether products have all of float32's digits; if not, they have those of
            TF32, which tensor cores compute faster.
        options: Keyword arguments of ``CompositionalAutoencoder``.
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
        self._moments: tuple[FlatArrays, FlatArrays] | None = None
        self._examiner: _Examiner | None = None

    def differentiate(
        self,
        x: np.ndarray,
        noise: np.ndarray | tuple[Stream, int],
        weights: np.ndarray | None,
        wanted: bool,
    ) -> tuple[BatchMeans, list[np.ndarray]]:
        """Computes loss, maxp and gradients of a batch."""
        xp = self.runtime.xp
        # Given noise is not drawn from a stream, so any stream will do.
        given = None if isinstance(noise, tuple) else noise
        stream, position = (Stream.CALL_NOISE, 0) if given is not None else noise
        kind = len(x), given is not None, weights is not None, wanted, stream
        parameters = self.flat_parameters()
        examiner = self._examiner
        if examiner is None or examiner.kind != kind or examiner.parameters is not parameters:
            examiner = self._examiner = self._make_examiner(kind, parameters)
        examiner.rows[...] = self.normalized(x)
        if given is not None:
            examiner.noise[...] = xp.asarray(given).reshape(len(x), -1)
        if weights is not None:
            examiner.weights[...] = xp.asarray(weights)
        single = examiner.single
        single.plan(position, [0.0], [self.tau])
        single.launch()
        means = BatchMeans(*single.observed().tolist())
        if not wanted:
            return means, []
        gradients = single.gradients.sum(axis=0)
        return means, parameters.views_of(gradients, self._sizes.shapes)

    def normalized(self, x: np.ndarray) -> np.ndarray:
        """Returns rows of the matrix in the form that the encoder takes.

        Args:
            x: float32 ``(n, D)``.
        """
        # The scale stays on the GPU: fetching it would wait for everything launched before.
        return (x - self.centre) / self.scale.astype(x.dtype)

    def normalization(self) -> Normalization:
        """Returns the centre and scale, on the host."""
        return Normalization(chainer.backends.cuda.to_cpu(self.centre), float(self.scale))

    def flat_parameters(self) -> FlatArrays:
        """Returns the parameters as views of one array, into which they are moved."""
        parameters = self.kernel_parameters()
        arrays = [parameter.array for parameter in parameters]
        if self._flat is None or not _are_views(self._flat, arrays):
            self._flat = _gathered(self.runtime.xp, arrays)
            for parameter, view in zip(parameters, self._flat.views, strict=True):
                parameter.array = view
        return self._flat

    def flat_moments(self) -> tuple[FlatArrays, FlatArrays]:
        """Returns the update rules' m and v of Adam, each as views of one array."""
        parameters = self.kernel_parameters()
        arrays = adam_moments(parameters)
        if self._moments is None or not all(map(_are_views, self._moments, arrays)):
            first, second = (_gathered(self.runtime.xp, each) for each in arrays)
            for parameter, m, v in zip(parameters, first.views, second.views, strict=True):
                parameter.update_rule.state.update(m=m, v=v)
            self._moments = first, second
        return self._moments

    def trainer_for(
        self,
        descent: Descent,
        source: RowSource,
        batch_size: int,
        short_batches: bool = False,
        means: np.ndarray | None = None,
    ) -> "StepMaker":
        """Returns a maker of optimizer steps.

        Args:
            descent: The optimizer. Adam's moments become views of one array each.
            source: The source of the rows.
            batch_size: Rows in a full batch.
            short_batches: Whether an epoch ends with a smaller batch of the remaining rows.
            means: float64 ``(3,)``, to which the loss, maxp and weighted loss of each step are
                added; None: a new array.
        """
        gpu_descent = GpuDescent(
            self.flat_moments() if descent.is_adam else None,
            (1 - descent.beta1, 1 - descent.beta2, descent.eps),
            descent.max_grad_norm,
            descent.decay,
            descent.decays_first,
        )
        options = {"seed": self.seed, "stream": Stream.TRAINING_NOISE}

        def make(rows: int, **more: object) -> NetworkPass:
            steps = NetworkPass(
                self.runtime, self._kernels, self._sizes, self.flat_parameters(), rows, source,
                full_batch=batch_size, short_batches=short_batches, **options, **more,
            )  # fmt: skip
            steps.add_descent(gpu_descent)
            return steps

        steps = make(batch_size, capacity=_PLANNED, means=means)
        return StepMaker(self.runtime, steps, partial(make, means=steps.means))

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
            RowSource(rows, weights, batches=1),
            seed=self.seed, stream=stream, given=noise, backward=wanted,
        )  # fmt: skip
        return _Examiner(kind, parameters, rows, noise, weights, single)


class StepMaker:
    """Makes optimizer steps, which are recorded once and then replayed.

    Args:
        runtime: The GPU.
        steps: A pass that ends with the optimizer's step.
        make_short: Returns such a pass for batches of fewer rows, which adds to the same means.

    Attributes:
        means: float64 ``(3,)``: loss, maxp and weighted loss, added up over the steps.
    """

    def __init__(
        self,
        runtime: Runtime,
        steps: NetworkPass,
        make_short: Callable[[int], NetworkPass],
    ) -> None:
        self._runtime = runtime
        self._pass = steps
        self._make_short = cache(make_short)
        self._planned = range(0)
        self._next: int | None = None
        self._one: Callable[[], None] | None = None
        self._burst: Callable[[], None] | None = None
        self.means = steps.means

    def forget_plan(self) -> None:
        """Discards the planned learning rates and temperatures, to ask for them again."""
        self._planned = range(0)

    def make(self, first: int, count: int, numbers: Numbers, ahead: int = _PLANNED) -> None:
        """Launches steps; their results may not be ready when this returns.

        Args:
            first: Number of the first step, from 0.
            count: Number of steps.
            numbers: Returns learning rates, with Adam's bias corrections, and temperatures.
            ahead: Number of steps to plan, at most 10,000.
        """
        while count:
            if first not in self._planned:
                self._planned = range(first, first + ahead)
                self._pass.plan(first, *numbers(self._planned))
            elif first != self._next:
                self._pass.go_to(first)
            now = min(count, self._planned.stop - first)
            self._replay(now)
            first = self._next = first + now
            count -= now

    def make_short(self, step: int, rows: int, numbers: Numbers) -> None:
        """Makes one step on a short batch.

        Args:
            step: The number of the step.
            rows: The number of rows in the batch.
            numbers: Returns learning rates, with Adam's bias corrections, and temperatures.
        """
        short = self._make_short(rows)
        short.plan(step, *numbers(range(step, step + 1)))
        short.launch()

    def _replay(self, count: int) -> None:
        if self._one is None:
            self._pass.launch()  # compiles the kernels, which is not allowed while recording
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


def _are_views(flat: FlatArrays, arrays: Sequence[np.ndarray]) -> bool:
    return all(array is view for array, view in zip(arrays, flat.views, strict=True))
