"""Simhash: signs of random projections."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.matrix.functions import scaled_columns
from nncompress.matrix.methods.interface import Factors, MatrixCompressorInterface
from nncompress.matrix.methods.simhash_fit import fit

_BLOCK_BYTES = 8 << 20
SEED = 42


def projection_blocks(seed: int, num_rows: int, count: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Regenerates the random projection R ``(m, k)``, at most 8 MiB of it at a time.

    Its entries have variance 1/k, so that sums of k of them, with any signs, have variance 1 and
    the scales are about as large as the matrix's entries: an optimizer's steps suit both.

    Args:
        seed: Seed of the random numbers.
        num_rows: m.
        count: k.

    Yields:
        The columns' numbers, a slice, and the columns, float32 ``(m, width)``.
    """
    step = max(1, _BLOCK_BYTES // (4 * num_rows))
    deviation = np.float32(1 / np.sqrt(count))
    for number, first in enumerate(range(0, count, step)):
        random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, number, 0]))
        columns = slice(first, min(first + step, count))
        width = columns.stop - columns.start
        normal = random.standard_normal((width, num_rows), dtype=np.float32)
        yield columns, (normal * deviation).T


def pack_signs(signs: np.ndarray) -> np.ndarray:
    """Packs signs, True for +1, eight rows per byte: bool ``(k, n)`` to ``(ceil(k/8), n)``."""
    return np.packbits(signs, axis=0, bitorder="little")


def unpack_signs(packed: np.ndarray, rows: slice, dtype: np.dtype, xp) -> np.ndarray:
    """Returns rows of the signs, +1 and -1: ``(rows, n)``."""
    numbers = xp.arange(rows.start, rows.stop)
    bits = packed[numbers >> 3] >> (numbers & 7).astype(np.uint8)[:, None] & 1
    return bits.astype(dtype) * 2 - 1


class SimhashFactors(Factors):
    """Signs of random projections, and column scales, which are trained.

    The product of the projection and the signs is kept if memory allows.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype, count: int) -> None:
        super().__init__(shape, dtype)
        self._count = count
        self.add_persistent("signs", np.zeros((-(-count // 8), self.shape[1]), dtype=np.uint8))
        self.add_persistent("seed", np.array(SEED, dtype=np.int64))
        with self.init_scope():
            self.scales = self._parameter(self.shape[1])

    def matrix(self) -> chainer.Variable:
        return scaled_columns.scale(self._projected(), self.scales)

    def matmul(
        self, x: chainer.Variable, bias: chainer.Variable | None = None
    ) -> chainer.Variable:
        return scaled_columns.multiply(x, self._projected(), self.scales, bias)

    def lookup(self, ids: np.ndarray) -> chainer.Variable:
        return scaled_columns.scale(self._projected()[ids], self.scales)

    def _projected(self) -> np.ndarray:
        """Returns R S, ``(m, n)``."""
        return self.derived.get_large(
            "projected", self.signs, self._project,
            "simhash: the product of projection and signs {} x {}".format(*self.shape),
        )  # fmt: skip

    def _project(self) -> np.ndarray:
        xp = self.xp
        total = xp.zeros(self.shape, dtype=self.dtype)
        for columns, r in projection_blocks(int(self.seed), self.shape[0], self._count):
            signs = unpack_signs(self.signs, columns, self.dtype, xp)
            total += xp.asarray(r).astype(self.dtype) @ signs
        return total

    def _stored(self) -> list[np.ndarray]:
        return [self.signs, self.scales.array, self.seed]


class SimhashMatrixCompressor(MatrixCompressorInterface):
    """Compresses A to R S D: a random projection, signs, and a scale for each column.

    R ``(m, k)`` is normal with variance 1/k, drawn from a fixed seed, with
    ``k = min(m, n) * 100 // rank + 1``; S ``(k, n)`` starts as the sign of R'A (+1 at zero), as in
    the original, and is then fitted to A; D ``(n,)`` scales columns.

    It stores the seed, one bit for each sign and a float for each column: ``k*n + 32*n`` bits
    instead of ``32*m*n``, a ratio of about ``0.32 * rank`` for m <= n. (The original counts a
    byte for each sign: there, ``rank`` is the ratio times 100 over 8.)
    Source: Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002.
    """

    def static_matrix_compressor(
        self, a_matrix: np.ndarray, n_iterations: int = 16
    ) -> list[np.ndarray]:
        """Returns signs and scales.

        Args:
            a_matrix: A, NumPy or CuPy ``(m, n)`` of float32 or float64.
            n_iterations: The number of rounds, each of which fits all signs and then the scales
                to A. With 0, the signs stay those of R'A, and the scales give each column the
                norm it has in A.

        Returns:
            Packed signs, uint8 ``(ceil(k/8), n)``, scales ``(n,)``, and the seed.

        Raises:
            InputError: The matrix does not have two dimensions or is not finite, or
                ``n_iterations`` is negative.
        """
        host, xp = self._checked(a_matrix)
        if n_iterations < 0:
            raise InputError(f"n_iterations is {n_iterations}; wanted 0 or more")
        count = self.num_projections(host.shape)
        blocks = partial(projection_blocks, SEED, len(host), count)
        signs, scales = fit(host, blocks, count, n_iterations, Machine().team)
        factors = [pack_signs(signs), scales, np.array(SEED, dtype=np.int64)]
        return self._sized(host, factors, xp)

    def num_projections(self, shape: tuple[int, int]) -> int:
        """Returns k."""
        return min(shape) * 100 // self._spec.rank + 1

    def make_factors(self, shape: tuple[int, int], dtype: np.dtype) -> SimhashFactors:
        """Returns a link for signs and scales; the scales are trained."""
        return SimhashFactors(shape, dtype, self.num_projections(shape))
