"""Products with matrices of small blocks."""

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix.functions.gradients import FusedFunction

F = chainer.functions


class _Product(FusedFunction):
    """Base of the functions of x, the factors of a matrix, and optionally a bias.

    Args:
        num_factors: The number of inputs without the bias.
    """

    def __init__(self, num_factors: int) -> None:
        super().__init__()
        self._num_factors = num_factors

    def forward(self, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray]:
        self.retain_inputs(tuple(range(self._num_factors)))
        y = self._multiply(*inputs[: self._num_factors])
        if len(inputs) > self._num_factors:
            y += inputs[-1]
        return (y,)

    def _gradients(self, indexes, gradient, *inputs):
        found = self._gradients_of_factors(indexes, gradient, *inputs)
        if self._num_factors in indexes:
            found[self._num_factors] = gradient.sum(axis=0)
        return [found.get(index) for index in range(self._num_factors + 1)]

    def _multiply(self, x: np.ndarray, *factors: np.ndarray) -> np.ndarray:
        """Returns the product as a new array, never x itself."""
        raise NotImplementedError

    def _gradients_of_factors(
        self, indexes: tuple[int, ...], gradient: np.ndarray, x: np.ndarray, *factors: np.ndarray
    ) -> dict[int, np.ndarray]:
        """Returns gradients of x and the factors by index, at least for the requested indexes."""
        raise NotImplementedError


def _apply(kind: type[_Product], inputs: list, bias: chainer.Variable | None) -> chainer.Variable:
    biases = () if bias is None else (bias,)
    return kind(len(inputs)).apply((*inputs, *biases))[0]


class _BlockwiseProducts(_Product):
    """The function that multiplies blocks of columns by one matrix after the other."""

    def _multiply(self, x, *factors):
        self._blocks = []
        for matrix in factors:
            blocks = x.reshape(-1, matrix.shape[1])
            self._blocks.append(blocks)
            width = x.shape[1] // matrix.shape[1] * len(matrix)
            x = (blocks @ matrix.T).reshape(len(x), width)
        return x

    def _gradients_of_factors(self, indexes, gradient, x, *factors):
        found = {}
        for number in range(len(factors), 0, -1):
            matrix = factors[number - 1]
            rows = gradient.reshape(-1, len(matrix))
            found[number] = rows.T @ self._blocks[number - 1]
            if number > 1 or 0 in indexes:
                blocks = rows @ matrix
                gradient = blocks.reshape(len(x), blocks.size // max(1, len(x)))
        found[0] = gradient
        return found

    def _by_chainer(self, x, *factors):
        num_rows = len(x)
        for matrix in factors:
            x = F.linear(F.reshape(x, (-1, matrix.shape[1])), matrix)
            x = F.reshape(x, (num_rows, x.size // max(1, num_rows)))
        return x


def blockwise_products(
    x: chainer.Variable, *matrices: chainer.Variable, bias: chainer.Variable | None = None
) -> chainer.Variable:
    """Returns rows whose blocks of columns are multiplied by matrices, one after the other.

    Args:
        x: ``(N, k*b)``.
        matrices: One or more. The first, ``(a, b)``, turns every b columns into a, giving
            ``(N, k*a)``; the next does the same with these.
        bias: Added to each row of the last product; None for none.

    Returns:
        The last product.
    """
    return _apply(_BlockwiseProducts, [x, *matrices], bias)


class _DiagonalProduct(_Product):
    """The function of x and blocks that multiplies x by a block-diagonal matrix's transpose."""

    def _multiply(self, x, blocks):
        count, out_size, _ = blocks.shape
        y = chainer.backend.get_array_module(x).empty((len(x), count, out_size), dtype=x.dtype)
        y[...] = (_by_block(x, count) @ blocks.transpose(0, 2, 1)).transpose(1, 0, 2)
        return y.reshape(len(x), count * out_size)

    def _gradients_of_factors(self, indexes, gradient, x, blocks):
        by_block, found = _by_block(gradient, len(blocks)), {}
        if 0 in indexes:
            found[0] = (by_block @ blocks).transpose(1, 0, 2).reshape(x.shape)
        if 1 in indexes:
            found[1] = by_block.transpose(0, 2, 1) @ _by_block(x, len(blocks))
        return found

    def _by_chainer(self, x, blocks):
        count, out_size, width = blocks.shape
        by_block = F.transpose(F.reshape(x, (len(x), count, width)), (1, 0, 2))
        y = F.transpose(F.matmul(by_block, blocks, transb=True), (1, 0, 2))
        return F.reshape(y, (len(x), count * out_size))


def _by_block(x: np.ndarray, count: int) -> np.ndarray:
    """Returns columns ``(N, count*b)`` by block: ``(count, N, b)``."""
    return x.reshape(len(x), count, x.shape[1] // count).transpose(1, 0, 2)


def diagonal_product(
    x: chainer.Variable, blocks: chainer.Variable, bias: chainer.Variable | None = None
) -> chainer.Variable:
    """Returns rows times the transpose of a block-diagonal matrix.

    Args:
        x: ``(N, k*b)``.
        blocks: The k blocks of the diagonal, ``(k, a, b)``.
        bias: ``(k*a,)``, added to each row of the product; None for none.

    Returns:
        The product, ``(N, k*a)``.
    """
    return _apply(_DiagonalProduct, [x, blocks], bias)


class _MixedProduct(_Product):
    """The function of x, blocks and mixer that ``mixed_product`` applies."""

    def _multiply(self, x, blocks, mixer):
        out_size, count, _ = blocks.shape
        products = _interleaved(x, count) @ blocks.transpose(1, 2, 0)
        self._products = products.reshape(count, len(x) * out_size)
        mixed = (mixer @ self._products).reshape(count, len(x), out_size)
        return mixed.transpose(1, 0, 2).reshape(len(x), count * out_size)

    def _gradients_of_factors(self, indexes, gradient, x, blocks, mixer):
        out_size, count, _ = blocks.shape
        mixed = _by_block(gradient, count).reshape(count, len(x) * out_size)
        of_products, found = (mixer.T @ mixed).reshape(count, len(x), out_size), {}
        if 0 in indexes:
            by_block = of_products @ blocks.transpose(1, 0, 2)
            found[0] = by_block.transpose(1, 2, 0).reshape(x.shape)
        if 1 in indexes:
            by_block = of_products.transpose(0, 2, 1) @ _interleaved(x, count)
            found[1] = by_block.transpose(1, 0, 2)
        if 2 in indexes:
            found[2] = mixed @ self._products.T
        return found

    def _by_chainer(self, x, blocks, mixer):
        out_size, count, width = blocks.shape
        interleaved = F.transpose(F.reshape(x, (len(x), width, count)), (2, 0, 1))
        products = F.matmul(interleaved, F.transpose(blocks, (1, 2, 0)))
        mixed = F.matmul(mixer, F.reshape(products, (count, len(x) * out_size)))
        mixed = F.transpose(F.reshape(mixed, (count, len(x), out_size)), (1, 0, 2))
        return F.reshape(mixed, (len(x), count * out_size))


def _interleaved(x: np.ndarray, count: int) -> np.ndarray:
    """Returns every ``count``-th column, starting at 0, 1, ...: ``(count, N, b)``."""
    xp = chainer.backend.get_array_module(x)
    return xp.ascontiguousarray(x.reshape(len(x), x.shape[1] // count, count).transpose(2, 0, 1))


def mixed_product(
    x: chainer.Variable,
    blocks: chainer.Variable,
    mixer: chainer.Variable,
    bias: chainer.Variable | None = None,
) -> chainer.Variable:
    """Returns blocks of columns, each a linear combination of the products of all blocks.

    Block j is multiplied by the columns j, j+k, j+2k... of x; the product, ``(N, a)``, is added to
    the i-th group of a columns of the result with the weight ``mixer[i, j]``.

    Args:
        x: ``(N, k*b)``.
        blocks: ``(a, k, b)``.
        mixer: ``(k, k)``.
        bias: ``(k*a,)``, added to each row of the result; None for none.

    Returns:
        ``(N, k*a)``.
    """
    return _apply(_MixedProduct, [x, blocks, mixer], bias)
