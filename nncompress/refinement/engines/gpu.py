# ruff: noqa: D102  (`interface.py` documents the methods)
"""Refinement's passes on a GPU."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import ModuleType
from weakref import WeakKeyDictionary

import numpy as np

from nncompress.embedding.codes import reconstruct
from nncompress.gpu.runtime import Kernels, Runtime
from nncompress.refinement.engines.interface import Array, Draw, Rows
from nncompress.refinement.least_squares import LeastSquares
from nncompress.sources import EmbeddingMatrix

_WARP = 32
_ROW_THREADS = 128  # as in `cuda/refinement.cuh`
_ROW_SHARED_BYTES = 32 << 10  # for a block with one row for each warp
# A block's largest arrays have this many numbers. How a product of matrices is rounded may depend
# on its number of rows, so this must not depend on the memory available.
_BLOCK_NUMBERS = 1 << 26
# Rows whose products with the codebook are computed together.
_PRODUCT_ROWS = 8_192
# The share of free memory that a matrix may take to stay on the GPU.
_RESIDENT_SHARE = 0.6
_CANDIDATES_A_THREAD, _FEWEST_THREADS, _MOST_THREADS = 8, 64, 512
# When beam search keeps its costs in global memory: blocks for each multiprocessor, bytes in all.
_SCRATCH_BLOCKS, _SCRATCH_BYTES = 4, 256 << 20
_SEARCH_BYTES = 528  # of a `BlockScratch`
# Codewords whose sums a block keeps in shared memory; blocks and parts of the rows to add up.
_TILE, _ADDING_BLOCKS, _MOST_SLICES = 32, 2_048, 128


class GpuEngine:
    """Computes with CUDA kernels and CuPy; the methods are those of ``interface.Engine``.

    The normalized rows stay on the GPU if they fit, and otherwise are sent a block at a time. An
    engine supports only one normalization of each matrix.

    Args:
        runtime: The GPU.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.xp = runtime.xp
        self._runtime = runtime
        self._kernels = runtime.load("refinement")
        self._resident: WeakKeyDictionary[EmbeddingMatrix, Array] = WeakKeyDictionary()

    def blocks(self, rows: Rows) -> Iterator[tuple[slice, Array]]:
        size = max(1, _BLOCK_NUMBERS // max(len(rows.codebook), rows.matrix.dim))
        resident = self._resident_rows(rows)
        if resident is not None:
            for start in range(0, len(resident), size):
                part = slice(start, min(start + size, len(resident)))
                yield part, resident[part]
            return
        for start, block in rows.matrix.batches(size):
            yield slice(start, start + len(block)), self._normalized(rows, block)

    def take(self, rows: Rows, numbers: np.ndarray) -> Array:
        resident = self._resident_rows(rows)
        if resident is None:
            return self._normalized(rows, rows.matrix.take(numbers))
        return resident[self.xp.asarray(numbers)]

    def begin(self, rows: Rows) -> "_GpuPass":
        return _GpuPass(self._runtime, self._kernels, rows)

    def upload(self, codes: np.ndarray) -> Array:
        return self.xp.asarray(codes).astype(np.int32)

    def to_host(self, array: Array) -> np.ndarray:
        return array if self.xp is np else self.xp.asnumpy(array)

    def residuals(self, x: Array, codes: np.ndarray, codebook: np.ndarray) -> Array:
        codewords = self.xp.asarray(codebook.astype(np.float32))
        return x - reconstruct(self.upload(codes), codewords, self.xp)

    def squares(self, x: Array, weights: np.ndarray) -> float:
        squares = self.xp.square(x, dtype=np.float64).sum(axis=1)
        return float(self.xp.asarray(weights) @ squares)

    def means(self, x: Array, weights: np.ndarray, numbers: Array, size: int) -> Array:
        xp = self.xp
        weights = xp.asarray(weights)
        numbers = numbers.astype(np.int32).reshape(1, -1)
        sums = _Sums(xp, self._kernels, 1, size, x.shape[1])
        sums.add(x, weights, numbers)
        # Sizes come from the same kernel: those of `bincount` depend on an order that varies.
        sizes = _Sums(xp, self._kernels, 1, size, 1)
        sizes.add(xp.ones((len(x), 1), dtype=np.float32), weights, numbers)
        sizes = sizes.total()
        return (sums.total() / xp.where(sizes > 0, sizes, 1)).astype(np.float32)

    def _resident_rows(self, rows: Rows) -> Array | None:
        """Returns the normalized rows, ``(N, D)``, or None if they do not fit."""
        matrix = rows.matrix
        resident = self._resident.get(matrix)
        if resident is None:
            num_bytes = 4 * len(matrix) * matrix.dim
            if num_bytes > _RESIDENT_SHARE * self._runtime.free_bytes:
                return None
            resident = self.xp.empty(matrix.shape, dtype=np.float32)
            for start, block in matrix.batches():
                resident[start : start + len(block)] = self._normalized(rows, block)
            self._resident[matrix] = resident
        return resident

    def _normalized(self, rows: Rows, block: np.ndarray) -> Array:
        """Sends rows of the matrix to the GPU and normalizes them like ``Rows.normalized``."""
        x = self.xp.asarray(block)
        return x if rows.is_normalized else rows.normalization.apply(x, self.xp)


class _GpuPass:
    """One pass over the rows; the methods are those of ``interface.Pass``."""

    def __init__(self, runtime: Runtime, kernels: Kernels, rows: Rows) -> None:
        xp = runtime.xp
        self._xp, self._runtime, self._kernels = xp, runtime, kernels
        self._num_codebooks, self._num_codewords = rows.codes.shape[1], rows.num_codewords
        self._codebook = xp.asarray(rows.codebook.astype(np.float32))
        num_units = len(self._codebook)
        self._counts = xp.zeros((num_units, num_units), dtype=np.int64)
        self._used = xp.zeros(num_units, dtype=bool)
        self._sums = _Sums(xp, kernels, *rows.codes.shape[1:], *self._codebook.shape)
        # A weight of 1 in the counts' units: the sum of all rows' weights stays below 2**62.
        most = math.frexp(float(rows.weights.max()) * len(rows.weights))[1]
        self._units = math.ldexp(1.0, 61 - most)

    @cached_property
    def _norms(self) -> Array:
        """The squared norms of the codewords, ``(L,)``."""
        return self._xp.einsum("ld,ld->l", self._codebook, self._codebook)

    @cached_property
    def _gram(self) -> Array:
        """Twice the inner products of codewords, ``(L, L)``; 0 within a group."""
        gram = 2.0 * (self._codebook @ self._codebook.T)
        groups = self._xp.arange(self._num_codebooks)
        sizes = self._num_codebooks, self._num_codewords
        gram.reshape(*sizes, *sizes)[groups, :, groups] = 0.0
        return gram

    @cached_property
    def _pairs(self) -> Array:
        """The same by group, ``(M, L, K)``."""
        num_units = len(self._codebook)
        blocks = self._gram.reshape(num_units, -1, self._num_codewords).transpose(1, 0, 2)
        return self._xp.ascontiguousarray(blocks)

    def _products(self, x: Array) -> Array:
        """Returns the products of rows and codewords, ``(n, L)``.

        How a product is rounded may depend on how many rows are multiplied together, so the number
        is always the same.
        """
        xp, codewords = self._xp, self._codebook.T
        together = min(_PRODUCT_ROWS, max(1, _BLOCK_NUMBERS // max(self._codebook.shape)))
        products = xp.empty((len(x), len(self._codebook)), dtype=np.float32)
        whole = len(x) - len(x) % together
        for first in range(0, whole, together):
            part = slice(first, first + together)
            xp.matmul(x[part], codewords, out=products[part])
        if whole < len(x):
            filled = xp.zeros((together, x.shape[1]), dtype=np.float32)
            filled[: len(x) - whole] = x[whole:]
            products[whole:] = (filled @ codewords)[: len(x) - whole]
        return products

    def relax(
        self, x: Array, codes: Array, first_row: int, draw: Draw, temperatures: np.ndarray
    ) -> None:
        schedule = self._xp.asarray(temperatures), np.int32(len(temperatures))
        self._launch_rows("relax", x, codes, first_row, draw, schedule)

    def improve(
        self,
        x: Array,
        codes: Array,
        first_row: int,
        draw: Draw,
        temperature: float,
        trials: int,
        sweeps: int,
    ) -> None:
        how = np.float32(temperature), np.int32(trials), np.int32(sweeps)
        arguments = x, np.int32(x.shape[1]), *how
        self._launch_rows("improve", x, codes, first_row, draw, arguments)

    def find(
        self,
        x: Array,
        codes: Array,
        first_row: int,
        draw: Draw,
        order: np.ndarray,
        temperature: float,
        trials: int,
        sweeps: int,
    ) -> None:
        self.search(x, codes, order, 1)
        self.improve(x, codes, first_row, draw, temperature, trials, sweeps)

    def search(self, x: Array, codes: Array, order: np.ndarray, width: int) -> None:
        num_codewords = self._num_codewords
        threads = _FEWEST_THREADS
        while threads < min(_MOST_THREADS, width * num_codewords // _CANDIDATES_A_THREAD):
            threads *= 2
        # The bytes that are always in shared memory, and those that may be in global memory.
        stride = 2 * ((self._num_codebooks + 1) // 2 | 1)
        small = _SEARCH_BYTES + -(-3 * width // 4) * 16
        large = -(-(4 * width * num_codewords + 4 * width * stride) // 16) * 16
        blocks, shared, scratch = len(x), small + large, None
        if shared > self._runtime.shared_bytes:
            fitting = max(1, _SCRATCH_BYTES // large)
            blocks = min(blocks, fitting, _SCRATCH_BLOCKS * self._runtime.multiprocessors)
            shared, scratch = small, self._xp.empty(blocks * large, dtype=np.uint8)
        self._kernels.launch(
            "search",
            blocks,
            threads,
            [
                *(self._products(x), self._norms, self._pairs, x),
                *(self._xp.asarray(order.astype(np.int32)), codes),
                *map(np.int32, (*x.shape, self._num_codebooks, num_codewords, width)),
                *(scratch, np.int64(large)),
            ],
            shared,
        )

    def tally(self, x: Array, codes: Array, weights: np.ndarray) -> None:
        xp = self._xp
        weights = xp.asarray(weights)
        warps = _ROW_THREADS // _WARP
        whole = xp.rint(weights * self._units).astype(np.int64)
        sizes = map(np.int32, (*codes.shape, self._num_codewords))
        self._kernels.launch(
            "count_pairs",
            -(-len(codes) // warps),
            _ROW_THREADS,
            [codes, whole, self._counts, self._used, *sizes],
        )
        self._sums.add(x, weights, xp.ascontiguousarray(codes.T))

    def sums(self) -> dict[str, np.ndarray]:
        to_host = np.asarray if self._xp is np else self._xp.asnumpy
        return {name: to_host(array) for name, array in self._parts().items()}

    def add(self, sums: dict[str, np.ndarray]) -> None:
        for name, own in self._parts().items():
            own[...] = self._xp.asarray(sums[name])

    def _parts(self) -> dict[str, Array]:
        return {"counts": self._counts, "sums": self._sums.parts, "used": self._used}

    def equations(self) -> LeastSquares:
        equations = LeastSquares(*self._codebook.shape, self._xp)
        self._xp.multiply(self._counts, 1.0 / self._units, out=equations.counts)
        equations.sums = self._sums.total()
        equations.used = self._used
        return equations

    def _launch_rows(
        self,
        name: str,
        x: Array,
        codes: Array,
        first_row: int,
        draw: Draw,
        arguments: Sequence[object],
    ) -> None:
        """Launches a kernel in which each warp works on one row."""
        padded = [-(-size // 4) * 4 for size in (len(self._codebook), self._num_codebooks)]
        row_bytes = 4 * sum(padded)
        warps = max(1, min(_ROW_THREADS // _WARP, _ROW_SHARED_BYTES // row_bytes))
        places = len(draw.noise) - self._num_codewords
        numbers = first_row, draw.position, draw.stream, *draw.key
        self._kernels.launch(
            name,
            -(-len(x) // warps),
            warps * _WARP,
            [
                *(self._products(x), self._norms, self._gram, codes),
                *map(np.int32, (*codes.shape, self._num_codewords)),
                *(self._xp.asarray(draw.noise), np.int32(places)),
                *map(np.uint32, numbers),
                *arguments,
            ],
            warps * row_bytes,
        )


class _Sums:
    """Sums of the rows that use each codeword, always added in the same order.

    Args:
        xp: The array library.
        kernels: The kernels of the module "refinement".
        num_codebooks: M.
        num_units: L = M*K.
        dim: D.

    Attributes:
        parts: The sums of parts of the rows, float64 ``(slices, L, D)``.
    """

    def __init__(
        self, xp: ModuleType, kernels: Kernels, num_codebooks: int, num_units: int, dim: int
    ) -> None:
        self._kernels = kernels
        num_codewords = num_units // num_codebooks
        self._tile = min(_TILE, num_codewords)
        self._threads = min(_ROW_THREADS, -(-dim // _WARP) * _WARP)
        blocks = num_codebooks * -(-num_codewords // self._tile) * -(-dim // self._threads)
        # The rows are split into parts by these sizes alone, whatever the GPU.
        slices = max(1, min(_MOST_SLICES, _ADDING_BLOCKS // blocks))
        self._blocks = blocks * slices
        self.parts = xp.zeros((slices, num_units, dim))
        self._sizes = num_codebooks, num_codewords, self._tile, slices

    def add(self, x: Array, weights: Array, codes: Array) -> None:
        """Adds rows.

        Args:
            x: float32 ``(n, D)``.
            weights: float64 ``(n,)``.
            codes: int32 ``(M, n)``.
        """
        self._kernels.launch(
            "add_rows",
            self._blocks,
            self._threads,
            [x, weights, codes, self.parts, *map(np.int32, (*x.shape, *self._sizes))],
            8 * self._tile * self._threads,
        )

    def total(self) -> Array:
        """Returns the sums, float64 ``(L, D)``."""
        return self.parts.sum(axis=0)
