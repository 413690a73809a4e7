"""Factors of a matrix as links: what is trained, what is kept, and how to multiply by them.

All stand for a compressed matrix of A's shape ``(m, n)``. ``matmul(x)`` is x times its transpose,
as a Linear link wants it.
"""

from collections.abc import Callable, Iterator

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows, spread_columns
from nncompress.embedding.packing import Packing, bits_for
from nncompress.errors import InputError
from nncompress.matrix.compressors.simhash import SEED, projection_blocks, unpack_signs

F = chainer.functions


class Factors(chainer.Link):
    """Base of all factors; its methods form the compressed matrix.

    Args:
        shape: ``(m, n)``.
        dtype: float32 or float64.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    def assign(self, factors: list[np.ndarray]) -> None:
        """Takes what a compressor returned."""
        for mine, given in zip(self._stored(), factors, strict=True):
            if mine.shape != given.shape:
                raise InputError(
                    f"a factor of shape {given.shape} where one of shape {mine.shape} was "
                    "expected; wanted shapes that depend on the matrix's shape alone"
                )
            mine[...] = given

    def matrix(self) -> chainer.Variable:
        """Returns the compressed matrix, ``(m, n)``."""
        raise NotImplementedError

    def matmul(self, x: chainer.Variable) -> chainer.Variable:
        """Returns x ``(N, n)`` times the transpose of the compressed matrix: ``(N, m)``."""
        return F.linear(x, self.matrix())

    def lookup(self, ids: np.ndarray) -> chainer.Variable:
        """Returns rows of the compressed matrix, ``(len(ids), n)``."""
        return gather_rows(self.matrix(), ids)

    def convolve(
        self, x: chainer.Variable, kernel: tuple[int, ...], **options
    ) -> chainer.Variable:
        """Returns a convolution with the compressed matrix, reshaped to ``kernel``."""
        return F.convolution_2d(x, F.reshape(self.matrix(), kernel), **options)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all that is stored."""
        return sum(int(array.nbytes) for array in self._stored())

    def _stored(self) -> list[np.ndarray]:
        """Returns the arrays, in the order of the compressor's factors."""
        raise NotImplementedError

    def _parameter(self, *shape: int) -> chainer.Parameter:
        return chainer.Parameter(np.zeros(shape, dtype=self.dtype))


class PairFactors(Factors):
    """Base of what is a product of two matrices, which is never formed to multiply by it."""

    def left(self, ids: np.ndarray | None = None) -> chainer.Variable | np.ndarray:
        """Returns the left factor, ``(m, k)``, or some of its rows."""
        raise NotImplementedError

    def right(self) -> chainer.Variable:
        """Returns the right factor, ``(k, n)``."""
        raise NotImplementedError

    def matrix(self):
        return F.matmul(self.left(), self.right())

    def matmul(self, x):
        return F.linear(F.linear(x, self.right()), self.left())

    def lookup(self, ids):
        return F.matmul(self.left(ids), self.right())

    def convolve(self, x, kernel, b=None, **options):
        right = self.right()
        inner = F.convolution_2d(x, F.reshape(right, (len(right), *kernel[1:])), **options)
        return F.convolution_2d(inner, F.reshape(self.left(), (kernel[0], len(right), 1, 1)), b)


class ProductFactors(PairFactors):
    """B ``(m, k)`` and C ``(k, n)``, both trained."""

    def __init__(self, shape, dtype, b_shape, c_shape) -> None:
        super().__init__(shape, dtype)
        if (b_shape[0], c_shape[1]) != self.shape or b_shape[1] != c_shape[0]:
            raise InputError(f"factors of shapes {b_shape} and {c_shape} for a matrix {shape}")
        with self.init_scope():
            self.b_matrix = self._parameter(*b_shape)
            self.c_matrix = self._parameter(*c_shape)

    def left(self, ids=None):
        return self.b_matrix if ids is None else gather_rows(self.b_matrix, ids)

    def right(self):
        return self.c_matrix

    def _stored(self):
        return [self.b_matrix.array, self.c_matrix.array]


class SingleFactors(Factors):
    """B ``(m, n)`` alone, trained."""

    def __init__(self, shape, dtype) -> None:
        super().__init__(shape, dtype)
        with self.init_scope():
            self.b_matrix = self._parameter(*shape)

    def matrix(self):
        return self.b_matrix

    def _stored(self):
        return [self.b_matrix.array]


class SparseFactors(PairFactors):
    """Sparse codes in rows of one length, and a dictionary; the columns of the codes are kept."""

    def __init__(self, shape, dtype, num_atoms: int, count: int) -> None:
        super().__init__(shape, dtype)
        with self.init_scope():
            self.values = self._parameter(self.shape[0], count)
            self.dictionary = self._parameter(num_atoms, self.shape[1])
        self.add_persistent("columns", np.zeros((self.shape[0], count), dtype=np.int32))

    def left(self, ids=None):
        values = self.values if ids is None else gather_rows(self.values, ids)
        columns = self.columns if ids is None else self.columns[ids]
        return spread_columns(values, columns, len(self.dictionary))

    def right(self):
        return self.dictionary

    def _stored(self):
        return [self.values.array, self.columns, self.dictionary.array]


class CompositionalFactors(PairFactors):
    """Packed codes, and a codebook, which is trained."""

    def __init__(self, shape, dtype, num_codebooks: int, num_codewords: int) -> None:
        super().__init__(shape, dtype)
        self._num_codewords = num_codewords
        self._packing = Packing(num_codebooks, bits_for(num_codewords))
        with self.init_scope():
            self.codebook = self._parameter(num_codebooks * num_codewords, self.shape[1])
        self.add_persistent(
            "codes", np.zeros((self.shape[0], self._packing.row_bytes), dtype=np.uint8)
        )

    def left(self, ids=None):
        """Returns which codewords rows use: ones and zeros."""
        xp = self.xp
        codes = self._packing.unpack(self.codes if ids is None else self.codes[ids], xp)
        units = xp.arange(self._packing.count, dtype=np.int32) * self._num_codewords + codes
        chosen = xp.zeros((len(codes), len(self.codebook)), dtype=self.dtype)
        chosen[xp.arange(len(codes))[:, None], units] = 1
        return chosen

    def right(self):
        return self.codebook

    def _stored(self):
        return [self.codebook.array, self.codes]


class _Projection(chainer.FunctionNode):
    """x times signs and projection, block by block: none of them is kept for the gradient."""

    def __init__(self, blocks: Callable[[], Iterator], num_rows: int) -> None:
        super().__init__()
        self._blocks, self._num_rows = blocks, num_rows

    def forward(self, inputs):
        (x,) = inputs
        xp = chainer.backend.get_array_module(x)
        total = xp.zeros((len(x), self._num_rows), dtype=x.dtype)
        for signs, r in self._blocks():
            total += (x @ signs.T) @ r.T
        return (total,)

    def backward(self, indexes, grad_outputs):
        gradient = grad_outputs[0].array
        total = 0
        for signs, r in self._blocks():
            total += (gradient @ r) @ signs
        return (chainer.as_variable(total),)


class SimhashFactors(Factors):
    """Signs of random projections, and column scales, which are trained."""

    def __init__(self, shape, dtype, count: int) -> None:
        super().__init__(shape, dtype)
        self._count = count
        self.add_persistent("signs", np.zeros((-(-count // 8), self.shape[1]), dtype=np.uint8))
        self.add_persistent("seed", np.array(SEED, dtype=np.int64))
        with self.init_scope():
            self.scales = self._parameter(self.shape[1])

    def matrix(self):
        return self._rows(slice(None))

    def matmul(self, x):
        scaled = x * F.broadcast_to(self.scales, x.shape)
        return _Projection(self._blocks, self.shape[0]).apply((scaled,))[0]

    def lookup(self, ids):
        return self._rows(ids)

    def _rows(self, ids):
        total = 0
        for signs, r in self._blocks():
            total += r[ids] @ signs
        return total * F.broadcast_to(self.scales, total.shape)

    def _blocks(self):
        """Yields signs ``(width, n)`` and columns of the projection ``(m, width)``."""
        xp = self.xp
        for columns, r in projection_blocks(int(self.seed), self.shape[0], self._count):
            signs = unpack_signs(self.signs, columns, self.dtype, xp)
            yield signs, xp.ascontiguousarray(xp.asarray(r), dtype=self.dtype)

    def _stored(self):
        return [self.signs, self.scales.array, self.seed]


class KmeansFactors(Factors):
    """Centroids, which are trained, and each block's number; a centroid of zeros stays zero."""

    def __init__(self, shape, dtype, centroids: tuple[int, int], num_blocks: int, kind) -> None:
        super().__init__(shape, dtype)
        with self.init_scope():
            self.centroids = self._parameter(*centroids)
        self.add_persistent("numbers", np.zeros(num_blocks, dtype=kind))
        self.add_persistent("has_zero", np.zeros((), dtype=np.uint8))

    def matrix(self):
        # Multiplied by 0 it is zero whatever an optimizer does to it, and has no gradient.
        shares = self.xp.ones(self.centroids.shape, dtype=self.dtype)
        shares[0] -= self.has_zero
        return F.reshape(gather_rows(self.centroids * shares, self.numbers), self.shape)

    def _stored(self):
        return [self.centroids.array, self.numbers, self.has_zero]
