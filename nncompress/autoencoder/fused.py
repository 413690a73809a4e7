"""The autoencoder computed by the CPU's fused kernels: the same Chain, many times faster."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nncompress.autoencoder.descent import Descent, adam_moments
from nncompress.autoencoder.kernel_chain import BatchMeans, KernelAutoencoder
from nncompress.cpu import compilation, run
from nncompress.cpu import descent as compiled
from nncompress.cpu.arena import allocate, allocate_together
from nncompress.cpu.descent import Hooks, Optimizer, Shape, Weights
from nncompress.cpu.panels import panel_numbers
from nncompress.cpu.step import TILE_ROWS, UNITS_AT_A_TIME, Buffers, Normalization
from nncompress.machine import Machine
from nncompress.random.noise import Stream, noise_words

# Rows in a tile times parameters, from which on a step is split into 4 and into 8 blocks.
_WORK_FOR_4, _WORK_FOR_8 = 4e7, 3e8
_FEWEST_BLOCKS, _MOST_BLOCKS = 2, 8


class Share(NamedTuple):
    """The share of each batch that one of several processes has.

    Attributes:
        first: Position in the batch of the process's first row.
        batch_size: Rows in the whole batch.
        add_up: Replaces an array by the sum of the arrays of all processes.
    """

    first: int
    batch_size: int
    add_up: Callable[[np.ndarray], None]


class FusedAutoencoder(KernelAutoencoder):
    """A ``KernelAutoencoder`` for the CPU.

    Args:
        arguments: D, M and K, as for ``CompositionalAutoencoder``.
        machine: The CPU's threads; None: as many as there are usable cores. No result depends on
            their number.
        options: Keyword arguments of ``CompositionalAutoencoder``.
    """

    def __init__(self, *arguments: int, machine: Machine | None = None, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._machine = machine or Machine()
        self._threads = self._machine.threads
        self._announced = False
        self._memory: dict[str, np.ndarray] | None = None
        self._gradients: Weights | None = None
        self._flat_gradients: np.ndarray | None = None
        self._memory_rows = 0
        self._buffers: tuple[Buffers, Buffers] | None = None
        self._buffers_size = 0

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Chooses the most probable codeword of each group, without noise."""
        if self.has_hooked_links() or not self.kernels_take(x):
            return super().encode(x)
        codes = np.empty((len(x), self.num_codebooks), dtype=np.uint16)
        self._run(
            run.encode,
            self._threads,
            self._shape(len(x)),
            self._weights(),
            _read_only(x),
            self._normalization(),
            codes,
        )
        return codes

    def differentiate(
        self,
        x: np.ndarray,
        noise: np.ndarray | tuple[Stream, int],
        weights: np.ndarray | None,
        wanted: bool,
    ) -> tuple[BatchMeans, Weights]:
        """Computes loss, maxp and gradients of a batch."""
        gradients = self._new_gradients()
        draws, position = self._draws(noise)
        one_weight = np.ones(len(x)) if weights is None else weights.astype(np.float64)
        out = self._train(
            run.GRADIENTS if wanted else run.LOSS,
            gradients,
            Descent(is_adam=False),
            run.Batches(_read_only(x), np.arange(len(x))[None], one_weight[None], 0, len(x)),
            draws,
            run.Plan(np.array([position]), np.zeros(1), np.array([self.tau])),
        )
        return BatchMeans(*out[0].tolist()), gradients

    def train_steps(
        self,
        descent: Descent,
        source: np.ndarray,
        rows: np.ndarray,
        weights: np.ndarray | None,
        first_iteration: int,
        rates: np.ndarray,
        taus: np.ndarray,
        share: Share | None = None,
    ) -> BatchMeans:
        """Makes optimizer steps without leaving the kernels.

        Args:
            descent: The optimizer; Adam's moments are kept in the parameters' update rules.
            source: Array that rows are gathered from, ``(N, D)``, C-contiguous float32 or float64.
            rows: Indices into it, int64 ``(steps, batch_size)``.
            weights: The weights of those rows, float64 of the same shape; None: all 1.
            first_iteration: Number of the first step, from 0.
            rates: Learning rate of each step, Adam's bias corrections included.
            taus: Temperature of each step.
            share: If several processes make the steps together, the share of this one. ``rows`` is
                then its part of each batch, which may be empty.

        Returns:
            The means over the steps, for whole batches.
        """
        iterations = np.arange(first_iteration, first_iteration + len(rows), dtype=np.int64)
        if self._gradients is None or not np.may_share_memory(
            self._gradients.codebook,
            self._flat_gradients,  # in a copied chain they are separate
        ):
            self._gradients, self._flat_gradients = self._joined_gradients()
        draws, _ = self._draws((Stream.TRAINING_NOISE, 0))
        batches = run.Batches(
            _read_only(source),
            rows,
            np.ones(rows.shape) if weights is None else weights,
            0 if share is None else share.first,
            rows.shape[1] if share is None else share.batch_size,
        )
        plan = run.Plan(iterations, rates, taus)
        if share is None and descent.max_grad_norm is None and not descent.decay:
            out = self._train(run.STEPS, self._gradients, descent, batches, draws, plan)
        else:
            out = self._train_one_by_one(descent, batches, draws, plan, share)
        return BatchMeans(*out.mean(axis=0).tolist())

    def _train_one_by_one(
        self,
        descent: Descent,
        batches: run.Batches,
        draws: run.Draws,
        plan: run.Plan,
        share: Share | None,
    ) -> np.ndarray:
        """Makes steps with work between gradients and descent; returns the same as ``_train``.

        The work is the sum over processes, weight decay and clipping.
        """
        hooks = Hooks(descent.max_grad_norm or 0.0, descent.decay, descent.decays_first)
        optimizer = self._optimizer(descent, self._gradients)
        shape = self._shape(batches.rows.shape[1])
        out = []
        for step in range(len(batches.rows)):
            own = slice(step, step + 1)
            batch = batches._replace(rows=batches.rows[own], weights=batches.weights[own])
            numbers = run.Plan(*(each[own] for each in plan))
            if batch.rows.size:
                means = self._train(run.GRADIENTS, self._gradients, descent, batch, draws, numbers)
            else:  # there are fewer rows than processes
                means = np.zeros((1, 3))
                self._flat_gradients[...] = 0
            out.append(means)
            if share is not None:
                share.add_up(self._flat_gradients)
            rate = float(plan.rates[step])
            self._run(compiled.descend, shape.blocks, shape, optimizer, hooks, rate)
        means = np.concatenate(out)
        if share is not None:
            share.add_up(means)
        return means

    def _train(
        self,
        task: int,
        gradients: Weights,
        descent: Descent,
        batches: run.Batches,
        draws: run.Draws,
        plan: run.Plan,
    ) -> np.ndarray:
        """Calls ``run.train``; returns losses and maxp, float64 ``(batches, 3)``."""
        steps, batch_size = batches.rows.shape
        shape = self._shape(batch_size)
        out = np.empty((steps, 3))
        self._run(
            run.train,
            shape.blocks,
            task,
            shape,
            *self._buffers_for(batch_size),
            self._weights(),
            gradients,
            self._optimizer(descent, gradients),
            batches,
            self._normalization(),
            draws,
            plan,
            out,
        )
        return out

    def show_gradients(self, descent: Descent) -> None:
        """Sets the parameters' gradients to those of the last step, after the optimizer's hooks.

        Args:
            descent: The optimizer of that step.
        """
        gradients = self._gradients
        # If weights decayed after clipping, both have already changed the gradients themselves.
        if descent.max_grad_norm is not None and (descent.decays_first or not descent.decay):
            norm = np.sqrt(sum(np.vdot(each, each) for each in gradients))
            if norm > descent.max_grad_norm:
                factor = descent.max_grad_norm / norm
                gradients = [factor.astype(each.dtype) * each for each in gradients]
        for parameter, gradient in zip(self.kernel_parameters(), gradients, strict=True):
            parameter.grad = gradient

    def _run(self, function, most_threads: int, *arguments: object) -> None:
        if not self._announced:
            compilation.announce()
            self._announced = True
        self._machine.team.run(function, min(self._threads, most_threads), *arguments)

    def _weights(self) -> Weights:
        return Weights(*(parameter.array for parameter in self.kernel_parameters()))

    def _normalization(self) -> Normalization:
        return Normalization(self.centre, self.codebook.dtype.type(self.scale))

    def _new_gradients(self) -> Weights:
        return Weights(**allocate(self._shapes()))

    def _joined_gradients(self) -> tuple[Weights, np.ndarray]:
        """Returns memory for gradients, also as one array."""
        arrays, memory = allocate_together(self._shapes())
        memory[...] = 0  # the padding between them is added up too
        return Weights(**arrays), memory.view(self.codebook.dtype)

    def _shapes(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        return {
            name: (parameter.shape, parameter.dtype)
            for name, parameter in zip(Weights._fields, self.kernel_parameters(), strict=True)
        }

    def _optimizer(self, descent: Descent, gradients: Weights) -> Optimizer:
        """Returns an optimizer with Adam's moments, which Chainer saves and restores."""
        weights = self._weights()
        first, second = (
            adam_moments(self.kernel_parameters())
            if descent.is_adam
            else [[array[:0] for array in weights]] * 2
        )
        flat = (
            Weights(*(array.reshape(-1) for array in arrays))
            for arrays in (weights, gradients, first, second)
        )
        return Optimizer(*flat, descent.beta1, descent.beta2, descent.eps)

    def _draws(self, noise: np.ndarray | tuple[Stream, int]) -> tuple[run.Draws, int]:
        """Returns the source of noise, and the position in it."""
        if isinstance(noise, np.ndarray):
            return run.Draws(noise, np.zeros(2, np.uint32), 0), 0
        stream, position = noise
        nothing = np.empty((0, 0, 0), dtype=self.codebook.dtype)
        return run.Draws(nothing, noise_words(self.seed, stream, 0)[:2], int(stream)), position

    def _shape(self, batch_size: int) -> Shape:
        # More blocks keep more threads busy but give more parts to add up. The number must not
        # depend on the threads, because the way a sum is split decides how it is rounded.
        work = min(batch_size, TILE_ROWS) * self.count_params()
        blocks = (
            _FEWEST_BLOCKS if work < _WORK_FOR_4 else 4 if work < _WORK_FOR_8 else _MOST_BLOCKS
        )
        return Shape(
            self.codebook.shape[1], len(self.l1.W), self.num_codebooks, self.num_codewords, blocks
        )

    def _buffers_for(self, batch_size: int) -> tuple[Buffers, Buffers]:
        """Returns memory for the tiles of a batch, and for the last one."""
        if self._buffers is None or self._buffers_size != batch_size:
            rows = min(batch_size, TILE_ROWS)
            if self._memory is None or self._memory_rows < rows:
                self._memory, self._memory_rows = allocate(self._buffer_shapes(rows)), rows
            full, rest = map(self._shaped, (rows, batch_size % TILE_ROWS or rows))
            # The same array object, not a view of the same memory, so that copies of the chain
            # share it too.
            self._buffers = full, rest._replace(certain=full.certain)
            self._buffers_size = batch_size
        return self._buffers

    def _shaped(self, rows: int) -> Buffers:
        """Returns the memory shaped for a tile of this many rows."""
        return Buffers(**{
            name: self._memory[name].reshape(-1)[: math.prod(shape)].reshape(shape)
            for name, (shape, _) in self._buffer_shapes(rows).items()
        })  # fmt: skip

    def _buffer_shapes(self, rows: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        num_hidden, dim = self.l1.W.shape
        num_units = self.codebook.shape[0]
        dtype, blocks = self.codebook.dtype, _MOST_BLOCKS
        threads = min(self._threads, blocks)
        units = -(-self.num_codebooks // _FEWEST_BLOCKS) * self.num_codewords  # in a block
        packed = max(
            panel_numbers(max(dim, num_hidden, units), rows, dtype.itemsize),
            panel_numbers(rows, max(dim, num_hidden), dtype.itemsize),
            panel_numbers(units, dim, dtype.itemsize),
        )
        return {
            "h": ((num_hidden, rows), dtype),
            "p": ((num_units, rows), dtype),
            "q": ((num_units, rows), dtype),
            "y": ((blocks, rows, dim), dtype),
            "dp": ((num_units, rows), dtype),
            "dh": ((blocks, num_hidden, rows), dtype),
            "certain": ((self.num_codebooks,), dtype),
            "x": ((threads, rows, dim), dtype),
            "dy": ((threads, rows, dim), dtype),
            "packed": ((threads, 4, packed), dtype),
            "draws": ((threads, UNITS_AT_A_TIME, rows), dtype),
            "bits": ((threads, UNITS_AT_A_TIME, rows), np.dtype(np.uint32)),
            "columns": ((threads, 2, rows), dtype),
            "squares": ((threads, rows), dtype),
        }


def _read_only(array: np.ndarray) -> np.ndarray:
    """Returns a view of the type that memory maps have, so that kernels are compiled only once."""
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view
