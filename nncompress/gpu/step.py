"""A pass through the autoencoder as a fixed sequence of launches, with buffers of its own.

The kernels are in ``cuda/``; the mathematics is that of ``autoencoder/chain.py``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from nncompress.gpu.parameters import FlatArrays
from nncompress.gpu.products import TILES, Ending, Form, Product, Tile, choose_tile, product_launch
from nncompress.gpu.runtime import Kernels, Launch, Runtime
from nncompress.random.noise import Stream, noise_words

# Rows that go through the network together; their activations stay in a GPU's second-level cache.
TILE_ROWS = 4_096
# The parts of a gradient's sum over a tile of rows, so that all multiprocessors have work.
_ROWS_A_PART = 256
_THREADS = 128
_DESCENT_THREADS = 256
_NORM_BLOCKS = 128
_PLAN = np.dtype([("iteration", np.int64), ("first", np.int64), ("capacity", np.int64)])


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network.

    Attributes:
        dim: D.
        num_hidden: H.
        num_codebooks: M.
        num_codewords: K.
    """

    dim: int
    num_hidden: int
    num_codebooks: int
    num_codewords: int

    @property
    def num_units(self) -> int:
        """L = M*K."""
        return self.num_codebooks * self.num_codewords

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the parameters, in the order of ``kernel_parameters``."""
        hidden, logits = self.num_hidden, self.num_units
        return [(hidden, self.dim), (hidden,), (logits, hidden), (logits,), (logits, self.dim)]

    @property
    def vector(self) -> int:
        """The most numbers that a copy can move at a time: a divisor of all rows' lengths."""
        return math.gcd(4, self.dim, self.num_hidden, self.num_units)


@dataclass(frozen=True)
class RowSource:
    """The source of the rows of batches.

    Attributes:
        rows: Normalized rows, float16 or float32: the whole matrix, or those of some batches.
        weights: Their weights in the loss, float32, or None.
        batches: Number of batches in it, one after the other; None for the whole matrix, from
            which rows are taken in each epoch's random order.
    """

    rows: object
    weights: object
    batches: int | None = None


@dataclass(frozen=True)
class GpuDescent:
    """An optimizer.

    Attributes:
        moments: Adam's m and v; None for SGD.
        adam: 1 - beta1, 1 - beta2, and eps.
        max_grad_norm: Global norm to which gradients are clipped, or None.
        decay: Share of the parameters that is added to their gradients; 0 for none.
        decays_first: Whether the share is added before clipping.
    """

    moments: tuple[FlatArrays, FlatArrays] | None
    adam: tuple[float, float, float]
    max_grad_norm: float | None = None
    decay: float = 0.0
    decays_first: bool = False


class NetworkPass:
    """The pass of a batch through the autoencoder: forward, and backward if requested.

    Args:
        runtime: The GPU.
        kernels: The kernels of the module ``step``.
        sizes: Sizes of the network.
        parameters: Its parameters.
        batch_size: Rows in this pass's batches.
        source: The source of the rows.
        seed: Seed of the noise and of the rows' order.
        stream: Stream of the noise.
        given: Noise to use instead of the stream's, float32 ``(batch_size, L)``, or None.
        capacity: Steps that can be planned at a time.
        backward: Whether to compute gradients.
        full_batch: Rows in a full batch, if this pass is for smaller ones; None: it is for full
            ones.
        short_batches: Whether an epoch ends with a smaller batch of the remaining rows.
        means: The ``means`` of another pass, to add to, or None.

    Attributes:
        gradients: float32 ``(parts, size)``: the gradients are the sum of the parts.
        means: float64 ``(3,)``: loss, maxp and weighted loss of normalized rows, added up over all
            steps made.
    """

    def __init__(
        self,
        runtime: Runtime,
        kernels: Kernels,
        sizes: Sizes,
        parameters: FlatArrays,
        batch_size: int,
        source: RowSource,
        *,
        seed: int,
        stream: Stream,
        given: object = None,
        capacity: int = 1,
        backward: bool = True,
        full_batch: int | None = None,
        short_batches: bool = False,
        means: object = None,
    ) -> None:
        xp = self._xp = runtime.xp
        self._runtime = runtime
        self._kernels = kernels
        self._sizes = sizes
        self._parameters = parameters
        self._batch_size = batch_size
        self._full_batch = full_batch or batch_size
        self._epoch_samples = len(source.rows)
        if short_batches:
            self._epoch_samples = -(-len(source.rows) // self._full_batch) * self._full_batch
        self._source = source
        self._given = given
        self._stream = stream
        self._words = noise_words(seed, stream, 0)[:2]
        self._capacity = capacity
        self._plan = xp.zeros(_PLAN.itemsize + 16 * capacity, dtype=xp.uint8)
        self.means = xp.zeros(3, dtype=xp.float64) if means is None else means
        self._arrived = xp.zeros(1, dtype=xp.uint32)
        rows = min(batch_size, TILE_ROWS)
        self._buffers = _Buffers.of(xp, sizes, rows, backward)
        self._parts = gradient_parts(sizes, rows, runtime.multiprocessors) if backward else 0
        self.gradients = xp.zeros((self._parts, len(parameters.values)), dtype=xp.float32)
        tiles = [(first, min(rows, batch_size - first)) for first in range(0, batch_size, rows)]
        # The blocks of the softmax and of the residual leave sums, one tile after the other.
        self._lanes = _lanes_of(sizes.num_codewords)
        self._certain = xp.zeros(sum(self._teams_blocks(n) for _, n in tiles), dtype=xp.float64)
        residuals = [self._residual(n, None) for _, n in tiles]
        residual_tiles = [self._tile_of([product]) for product in residuals]
        counts = [
            product.blocks(tile) for product, tile in zip(residuals, residual_tiles, strict=True)
        ]
        self._squares = xp.zeros((sum(counts), 2), dtype=xp.float64)
        self._launches: list[Launch] = []
        certain_at = squares_at = 0
        for index, (first, n) in enumerate(tiles):
            squares = self._squares[squares_at : squares_at + counts[index]]
            certain = self._certain[certain_at : certain_at + self._teams_blocks(n)]
            self._forward(first, n, squares, certain, residual_tiles[index])
            if backward:
                self._backward(n, adding=index > 0)
            squares_at += counts[index]
            certain_at += self._teams_blocks(n)

    def plan(self, iteration: int, rates: Sequence[float], taus: Sequence[float]) -> None:
        """Provides the numbers that the next steps need; at most ``capacity`` steps.

        Args:
            iteration: Number of the next step, which determines its rows and noise.
            rates: Learning rate of each step, with Adam's bias corrections.
            taus: Temperature of each step.
        """
        header = np.array([(iteration, iteration, self._capacity)], dtype=_PLAN)
        numbers = np.zeros((2, self._capacity))
        numbers[0, : len(rates)], numbers[1, : len(taus)] = rates, taus
        plan = np.frombuffer(header.tobytes() + numbers.tobytes(), dtype=np.uint8)
        self._plan[...] = self._xp.asarray(plan)

    def go_to(self, iteration: int) -> None:
        """Skips planned steps, so that the next one is ``iteration``."""
        size = _PLAN["iteration"].itemsize
        number = np.frombuffer(np.int64(iteration).tobytes(), dtype=np.uint8)
        self._plan[:size] = self._xp.asarray(number)

    def add_descent(self, descent: GpuDescent) -> None:
        """Adds the optimizer's step, after which the pass is ready for the next batch.

        Args:
            descent: The optimizer.
        """
        xp, size = self._xp, len(self._parameters.values)
        blocks = -(-size // _DESCENT_THREADS)
        norms, decay = None, descent.decay
        if decay and descent.decays_first and descent.max_grad_norm is not None:
            self._launches.append(
                Launch(
                    "add_decay",
                    blocks,
                    _DESCENT_THREADS,
                    [self._parameters.values, self.gradients, np.int64(size), np.float32(decay)],
                )
            )
            decay = 0.0
        if descent.max_grad_norm is not None:
            norms = xp.zeros(_NORM_BLOCKS, dtype=xp.float64)
            self._launches.append(
                Launch(
                    "gradient_norm",
                    _NORM_BLOCKS,
                    _DESCENT_THREADS,
                    [self.gradients, np.int32(self._parts), np.int64(size), norms],
                )
            )
        first, second = (
            (None, None) if descent.moments is None else (m.values for m in descent.moments)
        )
        self._launches.append(
            Launch(
                "descend",
                blocks,
                _DESCENT_THREADS,
                [
                    *(self._plan, self._parameters.values, self.gradients),
                    *(np.int32(self._parts), np.int64(size), first, second),
                    *(np.float32(number) for number in descent.adam),
                    *(norms, np.int32(_NORM_BLOCKS), np.float64(descent.max_grad_norm or 0.0)),
                    np.float32(decay),
                    *(self._squares, np.int32(len(self._squares))),
                    *(self._certain, np.int32(len(self._certain))),
                    *(self.means, np.float64(self._loss_factor), np.float64(self._maxp_factor)),
                    self._arrived,
                ],
            )
        )

    def launch(self) -> None:
        """Launches the pass."""
        for launch in self._launches:
            self._kernels.launch(*launch)

    def observed(self) -> object:
        """Returns loss, maxp and weighted loss of the last pass, float64 ``(3,)``."""
        squares = self._squares.sum(axis=0) * self._loss_factor
        maxp = self._certain.sum() * self._maxp_factor
        return self._xp.stack([squares[0], maxp, squares[1]])

    @property
    def _loss_factor(self) -> float:
        return 0.5 / self._batch_size

    @property
    def _maxp_factor(self) -> float:
        return 1.0 / (self._batch_size * self._sizes.num_codebooks)

    def _tile_of(self, products: Sequence[Product]) -> Tile:
        return choose_tile(products, self._runtime.shared_bytes, self._runtime.multiprocessors)

    def _multiply(self, *products: Product) -> None:
        self._launches.append(product_launch(products, self._tile_of(products)))

    def _teams_blocks(self, rows: int) -> int:
        """Returns the number of blocks that have a team of threads for each row and group."""
        return -(-rows * self._sizes.num_codebooks * self._lanes // _THREADS)

    def _forward(self, first_row: int, n: int, squares, certain, residual_tile) -> None:
        sizes, b, source = self._sizes, self._buffers, self._source
        w1, b1, w2, b2, _ = self._parameters.views
        hidden, logits = sizes.num_hidden, sizes.num_units
        key = [np.uint32(word) for word in self._words]
        shuffled = source.batches is None
        self._launches.append(
            Launch(
                "gather",
                -(-n * 32 // _THREADS),
                _THREADS,
                [
                    *(self._plan, source.rows, np.int32(source.rows.dtype == np.float16)),
                    *(source.weights, b.x, b.factors),
                    *(np.uint32(len(source.rows)), np.uint64(self._epoch_samples)),
                    *(
                        np.int32(sizes.dim),
                        np.int32(self._full_batch),
                        np.int32(first_row),
                        np.int32(n),
                    ),
                    *(np.int32(source.batches or 0), np.int32(shuffled)),
                    *(np.uint32(Stream.ROW_ORDER), *key),
                ],
            )
        )
        self._multiply(
            Product(
                Form.ROWS_BY_ROWS, (n, hidden, sizes.dim), b.x, w1, b.h, Ending.HIDDEN, bias=b1
            )
        )
        self._multiply(Product(Form.ROWS_BY_ROWS, (n, logits, hidden), b.h, w2, b.p))
        given = None if self._given is None else self._given[first_row:]
        self._launches.append(
            Launch(
                "gumbel_softmax",
                self._teams_blocks(n),
                _THREADS,
                [
                    *(self._plan, b.p, b.q, b2, given, certain),
                    *(np.int32(first_row), np.int32(n), np.int32(sizes.num_codebooks)),
                    *(np.int32(sizes.num_codewords), np.int32(self._lanes)),
                    *(np.uint32(self._stream), *key),
                ],
            )
        )
        self._launches.append(product_launch([self._residual(n, squares)], residual_tile))

    def _residual(self, n: int, squares) -> Product:
        """Returns the product that reconstructs n rows and gives the gradient by them."""
        b, sizes = self._buffers, self._sizes
        return Product(
            Form.ROWS_BY_COLUMNS,
            (n, sizes.dim, sizes.num_units),
            b.p,
            self._parameters.views[4],
            b.residual,
            Ending.RESIDUAL,
            other=b.x,
            factors=b.factors,
            squares=squares,
            scale=1.0 / self._batch_size,
        )

    def _backward(self, n: int, *, adding: bool) -> None:
        sizes, b = self._sizes, self._buffers
        dim, hidden, logits = sizes.dim, sizes.num_hidden, sizes.num_units
        _, _, w2, _, codebook = self._parameters.views
        size = len(self._parameters.values)
        dw1, db1, dw2, db2, dcodebook = (
            self.gradients.reshape(-1)[offset:] for offset in self._parameters.offsets
        )

        def gradient(m, k, first, second, out, sums=None):
            return Product(
                Form.COLUMNS_BY_COLUMNS, (m, k, n), first, second, out,
                parts=self._parts, out_stride=size, sums=sums, adding=adding,
            )  # fmt: skip

        self._multiply(
            Product(Form.ROWS_BY_ROWS, (n, logits, dim), b.residual, codebook, b.dp),
            gradient(logits, dim, b.p, b.residual, dcodebook),
        )
        self._launches.append(
            Launch(
                "softmax_gradient",
                self._teams_blocks(n),
                _THREADS,
                [
                    *(b.dp, b.p, b.q, np.int32(n), np.int32(sizes.num_codebooks)),
                    *(np.int32(sizes.num_codewords), np.int32(self._lanes)),
                ],
            )
        )
        self._multiply(
            Product(
                Form.ROWS_BY_COLUMNS,
                (n, hidden, logits),
                b.dp,
                w2,
                b.dh,
                Ending.HIDDEN_GRADIENT,
                other=b.h,
            ),
            gradient(logits, hidden, b.dp, b.h, dw2, sums=db2),
        )
        self._multiply(gradient(hidden, dim, b.dh, b.x, dw1, sums=db1))


def gradient_parts(sizes: Sizes, rows: int, multiprocessors: int) -> int:
    """Returns the number of parts in which to sum gradients over a tile of rows.

    Args:
        sizes: Sizes of the network.
        rows: The rows in the tile.
        multiprocessors: The number of the GPU's multiprocessors.
    """
    sums = (sizes.num_hidden, sizes.dim, rows)
    smallest = Product(Form.COLUMNS_BY_COLUMNS, sums, None, None, None)
    wanted = -(-multiprocessors // smallest.blocks(TILES[0]))
    return max(1, min(wanted, rows // _ROWS_A_PART))


@dataclass(frozen=True)
class _Buffers:
    """The stages of a tile of rows in the network, float32 ``(rows, ...)``."""

    x: object  # normalized rows
    factors: object  # their weights
    h: object  # hidden activations
    p: object  # outputs of the encoder, then probabilities
    q: object  # derivatives of the softmax's arguments by the outputs
    residual: object  # gradient of the reconstruction
    dp: object  # gradient of the probabilities, then of the outputs
    dh: object  # gradient of the hidden activations

    @classmethod
    def of(cls, xp: ModuleType, sizes: Sizes, rows: int, backward: bool) -> "_Buffers":
        def make(*shape: int) -> object:
            return xp.zeros((rows, *shape), dtype=xp.float32)

        dim, hidden, logits = sizes.dim, sizes.num_hidden, sizes.num_units
        return cls(
            make(dim), make(), make(hidden), make(logits), make(logits), make(dim),
            make(logits) if backward else None, make(hidden) if backward else None,
        )  # fmt: skip


def _lanes_of(num_codewords: int) -> int:
    """Returns the number of threads that share a group: one for each four codewords, up to 32."""
    quads = -(-num_codewords // 4)
    return min(32, 1 << (quads - 1).bit_length())
