"""Rows of matrices of small blocks; only the requested rows are formed."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.chainer_support.gather_rows import gather_rows, spread_columns, sum_by_number
from nncompress.matrix.functions.gradients import FusedFunction, row_numbers

F = chainer.functions


class _Rows(FusedFunction):
    """Base of the functions of a matrix's factors that return rows of it.

    Args:
        ids: Numbers of rows, ``(L,)``; negative ones count from the end.
        num_rows: How many rows the matrix has.

    Raises:
        IndexError: A row number is out of range.
    """

    def __init__(self, ids: np.ndarray, num_rows: int) -> None:
        super().__init__()
        self._ids = row_numbers(ids, num_rows)

    def forward(self, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray]:
        self.retain_inputs(tuple(range(len(inputs))))
        return (self._look_up(*inputs),)

    def _look_up(self, *factors: np.ndarray) -> np.ndarray:
        """Returns the rows, ``(L, n)``."""
        raise NotImplementedError


class _WeightedRows(_Rows):
    """The function of weights and table that ``weighted_rows`` applies."""

    def _look_up(self, weights, table):
        if isinstance(table, np.ndarray):
            from nncompress.cpu import block_rows

            rows = np.empty((len(self._ids), table.shape[1]), table.dtype)
            block_rows.weighted_rows(weights, table, self._ids, rows)
            return rows
        size = len(weights)
        return (weights[self._ids % size][:, None] @ self._blocks(weights, table))[:, 0]

    def _blocks(self, weights, table):
        size, inner = weights.shape
        return table.reshape(-1, inner, table.shape[1])[self._ids // size]

    def _gradients(self, indexes, gradient, weights, table):
        size, inner = weights.shape
        of_weights = (self._blocks(weights, table) @ gradient[:, :, None])[:, :, 0]
        places = self._ids % size
        of_blocks = weights[places][:, :, None] * gradient[:, None]
        of_blocks = of_blocks.reshape(len(gradient), inner * table.shape[1])
        of_table = sum_by_number(self._ids // size, of_blocks, len(table) // inner)
        return [sum_by_number(places, of_weights, size), of_table.reshape(table.shape)]

    def _by_chainer(self, weights, table):
        (size, inner), dim = weights.shape, table.shape[1]
        chosen = gather_rows(F.reshape(table, (-1, inner * dim)), self._ids // size)
        of_rows = F.expand_dims(gather_rows(weights, self._ids % size), 1)
        rows = F.matmul(of_rows, F.reshape(chosen, (len(chosen), inner, dim)))
        return F.reshape(rows, (len(chosen), dim))


def weighted_rows(
    weights: chainer.Variable, table: chainer.Variable, ids: np.ndarray
) -> chainer.Variable:
    """Returns rows of the product of a table with blocks of weights on a diagonal.

    Args:
        weights: ``(a, b)``, applied to every b rows of the table.
        table: ``(k*b, n)``.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.

    Returns:
        Rows of the product ``(k*a, n)``: ``(L, n)``.
    """
    num_rows = table.shape[0] // weights.shape[1] * weights.shape[0]
    return _WeightedRows(ids, num_rows).apply((weights, table))[0]


class _DiagonalRows(_Rows):
    """The function of blocks that ``diagonal_rows`` applies."""

    def _look_up(self, blocks):
        xp = chainer.backend.get_array_module(blocks)
        count, size, width = blocks.shape
        rows = xp.zeros((len(self._ids), count, width), blocks.dtype)
        rows[xp.arange(len(rows)), self._ids // size] = blocks.reshape(-1, width)[self._ids]
        return rows.reshape(len(rows), count * width)

    def _gradients(self, indexes, gradient, blocks):
        count, size, width = blocks.shape
        places = chainer.backend.get_array_module(gradient).arange(len(gradient))
        chosen = gradient.reshape(len(gradient), count, width)[places, self._ids // size]
        return [sum_by_number(self._ids, chosen, count * size).reshape(blocks.shape)]

    def _by_chainer(self, blocks):
        count, size, width = blocks.shape
        chosen = gather_rows(F.reshape(blocks, (-1, width)), self._ids)
        xp = chainer.backend.get_array_module(self._ids)
        columns = self._ids[:, None] // size * width + xp.arange(width)
        return spread_columns(chosen, columns, count * width)


def diagonal_rows(blocks: chainer.Variable, ids: np.ndarray) -> chainer.Variable:
    """Returns rows of a block-diagonal matrix.

    Args:
        blocks: The k blocks of the diagonal, ``(k, a, b)``.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.

    Returns:
        Rows of the matrix ``(k*a, k*b)``: ``(L, k*b)``.
    """
    return _DiagonalRows(ids, blocks.shape[0] * blocks.shape[1]).apply((blocks,))[0]


class _MixedRows(_Rows):
    """The function of blocks and mixer that ``mixed_rows`` applies."""

    def _look_up(self, blocks, mixer):
        _, count, width = blocks.shape
        if isinstance(blocks, np.ndarray):
            from nncompress.cpu import block_rows

            rows = np.empty((len(self._ids), width * count), blocks.dtype)
            block_rows.mixed_rows(blocks, mixer, self._ids, rows)
            return rows
        entries, shares = self._chosen(blocks, mixer)
        rows = (entries * shares[:, :, None]).transpose(0, 2, 1)
        return rows.reshape(len(rows), width * count)

    def _chosen(self, blocks, mixer):
        return blocks[self._ids % len(blocks)], mixer[self._ids // len(blocks)]

    def _gradients(self, indexes, gradient, blocks, mixer):
        size, count, width = blocks.shape
        entries, shares = self._chosen(blocks, mixer)
        gradient = gradient.reshape(len(gradient), width, count).transpose(0, 2, 1)
        of_entries = (gradient * shares[:, :, None]).reshape(len(gradient), count * width)
        of_blocks = sum_by_number(self._ids % size, of_entries, size).reshape(blocks.shape)
        of_shares = (gradient * entries).sum(axis=2)
        return [of_blocks, sum_by_number(self._ids // size, of_shares, count)]

    def _by_chainer(self, blocks, mixer):
        size, count, width = blocks.shape
        entries = gather_rows(F.reshape(blocks, (size, count * width)), self._ids % size)
        entries = F.reshape(entries, (len(entries), count, width))
        shares = F.expand_dims(gather_rows(mixer, self._ids // size), 2)
        rows = F.transpose(entries * F.broadcast_to(shares, entries.shape), (0, 2, 1))
        return F.reshape(rows, (len(rows), width * count))


def mixed_rows(
    blocks: chainer.Variable, mixer: chainer.Variable, ids: np.ndarray
) -> chainer.Variable:
    """Returns rows of the matrix whose transpose ``mixed_product`` multiplies by.

    Args:
        blocks: ``(a, k, b)``.
        mixer: ``(k, k)``.
        ids: Numbers of rows, integers ``(L,)``; negative ones count from the end.

    Returns:
        Rows of the matrix ``(k*a, k*b)``: ``(L, k*b)``.
    """
    return _MixedRows(ids, blocks.shape[0] * len(mixer)).apply((blocks, mixer))[0]
