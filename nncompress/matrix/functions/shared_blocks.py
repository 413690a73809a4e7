"""A matrix whose blocks of entries share a few centroids, and lookups of its rows."""

from dataclasses import dataclass

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows
from nncompress.embedding.packing import Packing
from nncompress.matrix.functions.derived import DerivedArrays, check_numbers
from nncompress.matrix.functions.gpu_kernels import are_on_a_gpu, kernels_of
from nncompress.matrix.functions.gradients import FusedFunction, row_numbers

F = chainer.functions

GROUP = 8  # numbers in a row of the packing, so that a row takes a whole number of bytes


@dataclass(frozen=True)
class Numbers:
    """The number of each block's centroid; blocks are in row order.

    Attributes:
        packed: The numbers, packed, uint8.
        bits: Bits of a number.
        shape: The matrix's shape, ``(m, n)``.
        block_size: Entries in a block.
    """

    packed: np.ndarray
    bits: int
    shape: tuple[int, int]
    block_size: int

    def check(self, limit: int, derived: DerivedArrays) -> None:
        """Refuses numbers at or above a limit; see ``check_numbers``."""
        rows = derived.get("rows of numbers", self.packed, lambda: self._rows)
        check_numbers(rows, Packing(GROUP, self.bits), limit, derived)

    @property
    def _rows(self) -> np.ndarray:
        return self.packed.reshape(-1, self.bits)

    def unpacked(self, xp) -> np.ndarray:
        """Returns all numbers, integers ``(m*n/block_size,)``."""
        found = Packing(GROUP, self.bits).unpack(self._rows, xp)
        return found.reshape(-1)[: self.shape[0] * self.shape[1] // self.block_size]

    def of_rows(self, ids: np.ndarray, xp) -> tuple[np.ndarray, np.ndarray]:
        """Returns the centroid of each entry of rows ``(L,)``, and the entry's place in it.

        Both are integers ``(L, n)``; only these rows are unpacked.
        """
        dim = self.shape[1]
        entries = ids[:, None] * dim + xp.arange(dim)
        bit = entries // self.block_size * self.bits
        byte, found = bit >> 3, 0
        for offset in range((self.bits + 14) >> 3):
            # Past the end, no number has any bits, so any byte will do.
            more = self.packed[xp.minimum(byte + offset, self.packed.size - 1)]
            found = found | more.astype(np.int64) << 8 * offset
        return found >> (bit & 7) & ((1 << self.bits) - 1), entries % self.block_size


def pack(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Packs blocks' numbers ``(b,)`` one after the other: uint8 ``(packed_bytes(b, bits),)``."""
    padded = np.zeros(-(-len(numbers) // GROUP) * GROUP, dtype=np.uint32)
    padded[: len(numbers)] = numbers
    return Packing(GROUP, bits).pack(padded.reshape(-1, GROUP)).reshape(-1)


def packed_bytes(count: int, bits: int) -> int:
    """Returns the number of bytes that ``pack`` returns for a number of blocks."""
    return -(-count // GROUP) * bits


def decode(centroids: np.ndarray, numbers: Numbers) -> np.ndarray:
    """Returns the matrix ``(m, n)``.

    Args:
        centroids: NumPy or CuPy ``(c, block_size)``, float32 or float64.
        numbers: The blocks' numbers.
    """
    xp = chainer.backend.get_array_module(centroids)
    if xp is not np and not are_on_a_gpu(centroids):
        return centroids[numbers.unpacked(xp)].reshape(numbers.shape)
    return _decode_rows(centroids, numbers, xp.arange(numbers.shape[0]))


def _decode_rows(centroids: np.ndarray, numbers: Numbers, ids: np.ndarray) -> np.ndarray:
    """Returns rows of the matrix ``(L, n)``."""
    xp = chainer.backend.get_array_module(centroids)
    if are_on_a_gpu(centroids):
        centroids, dim = xp.ascontiguousarray(centroids), numbers.shape[1]
        return kernels_of(centroids).decode(numbers.packed, numbers.bits, centroids, ids, dim)
    if xp is not np:
        return centroids[numbers.of_rows(ids, xp)]
    from nncompress.cpu import shared_blocks

    rows = np.empty((len(ids), numbers.shape[1]), centroids.dtype)
    centroids = np.ascontiguousarray(centroids)
    shared_blocks.decode(numbers.packed, numbers.bits, centroids, ids, rows)
    return rows


def _sum_rows(
    gradient: np.ndarray, numbers: Numbers, ids: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Returns the gradient of centroids of a given shape from that of rows ``(L, n)``."""
    xp = chainer.backend.get_array_module(gradient)
    if are_on_a_gpu(gradient):
        rows = xp.ascontiguousarray(gradient)
        return kernels_of(rows).sum_by_number(numbers.packed, numbers.bits, shape, ids, rows)
    sums = xp.zeros(shape, np.float64)
    if xp is not np:
        xp.add.at(sums, numbers.of_rows(ids, xp), gradient.astype(np.float64))
    else:
        from nncompress.cpu import shared_blocks

        rows = np.ascontiguousarray(gradient)
        shared_blocks.add_by_number(numbers.packed, numbers.bits, ids, rows, sums)
    return sums.astype(gradient.dtype)


class _Entries(FusedFunction):
    """Base of the functions of centroids; the numbers have no gradient.

    Args:
        numbers: The blocks' numbers.
        ids: The rows of the matrix that the function returns, ``(L,)``.
    """

    def __init__(self, numbers: Numbers, ids: np.ndarray) -> None:
        super().__init__()
        self._numbers, self._ids = numbers, ids

    def _gradients(self, indexes, gradient, centroids):
        return [_sum_rows(gradient, self._numbers, self._ids, centroids.shape)]

    def _by_chainer(self, centroids):
        xp = chainer.backend.get_array_module(self._ids)
        number, place = self._numbers.of_rows(self._ids, xp)
        entries = F.reshape(centroids, (centroids.size, 1))
        rows = gather_rows(entries, number * centroids.shape[1] + place)
        return F.reshape(rows, number.shape)


class _Matrix(_Entries):
    """The function ``centroids -> matrix`` with a result that is already known."""

    def __init__(self, matrix: np.ndarray, numbers: Numbers) -> None:
        xp = chainer.backend.get_array_module(matrix)
        super().__init__(numbers, xp.arange(len(matrix)))
        self._matrix = matrix

    def forward(self, inputs):
        matrix, self._matrix = self._matrix, None  # its users keep the result
        self.retain_inputs((0,))
        return (matrix,)


def matrix_of(
    centroids: chainer.Variable, numbers: Numbers, matrix: np.ndarray
) -> chainer.Variable:
    """Returns the matrix as a function of its centroids.

    Args:
        centroids: ``(c, block_size)``.
        numbers: The blocks' numbers.
        matrix: The result of ``decode`` for them.
    """
    return _Matrix(matrix, numbers).apply((centroids,))[0]


class _LookUp(_Entries):
    """The function ``centroids -> matrix[ids]``."""

    def forward(self, inputs):
        self.retain_inputs((0,))
        return (_decode_rows(inputs[0], self._numbers, self._ids),)


def look_up(centroids: chainer.Variable, numbers: Numbers, ids: np.ndarray) -> chainer.Variable:
    """Returns rows of the matrix ``(len(ids), n)``.

    Args:
        centroids: ``(c, block_size)``.
        numbers: The blocks' numbers.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.
    """
    return _LookUp(numbers, row_numbers(ids, numbers.shape[0])).apply((centroids,))[0]
